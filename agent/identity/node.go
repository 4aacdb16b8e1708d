package identity

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skerry-io/skerry/internal/certs"
	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/wire"
)

// Config is what a node must know to join.
type Config struct {
	Dir       string // where key, certificates and what the server told are kept
	Server    string // URL of a server
	Endpoint  string // URL of the node's own API endpoint, which its components are told
	Name      string
	Addresses []netip.Addr
	Token     func() (wire.Token, error) // asked when it is needed: beside a server it is made at the same time
	// Others are the URLs of all servers that the node knows, for the day on which its certificates are over and that of
	// Server is away; nil for none.
	Others func() []string
	// Heard is told the time that a server of the cluster says it is; nil for nobody.
	Heard func(time.Time)
	// Stepped gets an entry when this machine's clock was set, by which certificates may be over; nil for never.
	Stepped <-chan struct{}
	// Beside says that a server runs in the same process. It is asked at each start, because it is there and what it
	// says may be new; any other is asked after the start, because it may be away.
	Beside bool
}

// Node is this node. Its methods but Run may be called once Run has called ready, from anywhere: they give the newest
// certificates and cost next to nothing.
type Node struct {
	config Config
	log    *slog.Logger
	key    *ecdsa.PrivateKey

	authority *x509.Certificate // of the node's own making, see local.go; there before Run calls ready
	local     tls.Certificate   // by that

	now     atomic.Pointer[material]
	cluster wire.Cluster // of this start
	asked   bool         // a server was, at this start

	changed chan struct{} // closed by change
	change  func()
}

// New prepares a node that has not joined yet.
func New(c Config, log *slog.Logger) *Node {
	n := &Node{config: c, log: log, changed: make(chan struct{})}
	n.change = sync.OnceFunc(func() { close(n.changed) })
	return n
}

// Run makes the node ready with what it has kept, or joins and keeps trying until a server answers. Then it keeps the
// certificates good for as long as it runs. A server that refuses the node is an error.
func (n *Node) Run(ctx context.Context, ready func()) error {
	if !strings.HasPrefix(n.config.Server, "https://") {
		return fault.New("join %s: a server is reached by https only", n.config.Server).Fix("write https:// in the server's URL")
	}
	var err error
	if n.key, err = certs.LoadKey(n.KeyFile()); err != nil {
		return fault.New("read the node's key").Because(err).
			Fix("remove %s and run `skerry node replace %s` on the server: the node makes another key and joins with it", n.KeyFile(), n.config.Name)
	}
	if err := n.insist(ctx, soon(), n.begin); err != nil {
		return ignoreStop(ctx, err)
	}
	n.cluster = n.now.Load().Cluster
	ready()
	return ignoreStop(ctx, n.follow(ctx))
}

// begin takes what was kept; else it joins.
func (n *Node) begin(ctx context.Context) error {
	kept := n.restore()
	ours := kept != nil && n.ours(kept)
	n.asked = !ours || n.config.Beside
	switch {
	case !ours:
		return n.join(ctx, kept)
	case n.asked:
		n.now.Store(kept)
		if err := n.refresh(ctx); err != nil {
			return err
		}
		return n.save(n.now.Load())
	case kept.expired():
		return n.late(ctx, kept)
	}
	return n.take(kept)
}

// latePatience is how long a start waits for new certificates in the place of those that are over.
const latePatience = 3 * time.Second

// late begins with certificates that are over. With no server in reach they do: nobody looks at them but this node.
func (n *Node) late(ctx context.Context, kept *material) error {
	if err := n.take(kept); err != nil {
		return err
	}
	brief, cancel := context.WithTimeout(ctx, latePatience)
	defer cancel()
	err := n.refresh(brief)
	var no *fault.Fault
	if n.asked = err == nil; n.asked || errors.As(err, &no) || ctx.Err() != nil {
		return err
	}
	n.log.Warn("the node's certificates are over, and no server is in reach to renew them; it goes on alone until one is",
		"until", kept.serving.Leaf.NotAfter.UTC().Format(time.RFC3339), "err", err)
	return nil
}

func (n *Node) path(name string) string { return filepath.Join(n.config.Dir, name) }

// Name is the node's name in the cluster.
func (n *Node) Name() string { return n.config.Name }

// Cluster is what the cluster had in common when this node started; see Changed.
func (n *Node) Cluster() wire.Cluster { return n.cluster }

// Changed closes when a server has told something else than Cluster says. The next start will have it.
func (n *Node) Changed() <-chan struct{} { return n.changed }

// Told is what a server told last of what Cluster says.
func (n *Node) Told() wire.Cluster { return n.now.Load().Cluster }

// ClientCAFile holds the CA of those who may call this node's kubelet.
func (n *Node) ClientCAFile() string { return n.path("client-ca.crt") }

// ServingCertFile is the certificate of what the node listens on.
func (n *Node) ServingCertFile() string { return n.path("serving-kubelet.crt") }

// KeyFile is the node's private key, which all of its certificates are for.
func (n *Node) KeyFile() string { return n.path("node.key") }

// KubeletConfig is the kubeconfig of the kubelet.
func (n *Node) KubeletConfig() string { return n.path("kubelet.kubeconfig") }

// KubeProxyConfig is the kubeconfig of kube-proxy.
func (n *Node) KubeProxyConfig() string { return n.path("kube-proxy.kubeconfig") }

// Serving is the certificate for what this node's own components ask it: the cluster's as long as it counts, then one of the
// node's making, which they trust as well.
func (n *Node) Serving() (tls.Certificate, error) {
	if m := n.now.Load(); !certs.Over(m.serving.Leaf) {
		return m.serving, nil
	}
	return n.local, nil
}

// Local is a certificate with the names of the API server, of the node's making. Nobody trusts it who was not given Authority.
func (n *Node) Local() tls.Certificate { return n.local }

// Authority is the PEM text of what vouches for Local, and can vouch for nothing else.
func (n *Node) Authority() []byte { return certs.EncodeCert(n.authority) }

// Counts says that servers will take the node's certificates, as far as it can know.
func (n *Node) Counts() bool { return !n.now.Load().expired() }

// Clients are the node's client certificates by the user they name. The map must not be changed.
func (n *Node) Clients() (map[string]tls.Certificate, error) { return n.now.Load().clients, nil }

// Client is the node's own client certificate, as its kubelet and its tunnel show it.
func (n *Node) Client() tls.Certificate { return n.now.Load().clients[user(n.config.Name)] }

// ServerCA is the pool to verify a server with.
func (n *Node) ServerCA() *x509.CertPool { return n.now.Load().serverCA }

// ClientCA is the pool to verify clients with.
func (n *Node) ClientCA() *x509.CertPool { return n.now.Load().clientCA }

// user is how the cluster calls a node that asks for something.
func user(name string) string { return wire.NodeUser + name }

func ignoreStop(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}
