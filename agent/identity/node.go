package identity

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

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

// begin takes what was kept, when it is still good; else it joins.
func (n *Node) begin(ctx context.Context) error {
	kept := n.restore()
	good := kept != nil && n.good(kept)
	n.asked = !good || n.config.Beside
	switch {
	case !good:
		return n.join(ctx, kept)
	case !n.asked:
		return n.take(kept)
	}
	n.now.Store(kept)
	if err := n.refresh(ctx); err != nil {
		return err
	}
	return n.save(n.now.Load())
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

// Serving is the certificate for what this node listens on.
func (n *Node) Serving() (tls.Certificate, error) { return n.now.Load().serving, nil }

// Clients are the node's client certificates by the user they name. The map must not be changed.
func (n *Node) Clients() (map[string]tls.Certificate, error) { return n.now.Load().clients, nil }

// Client is the node's own client certificate, as its kubelet and its tunnel show it.
func (n *Node) Client() tls.Certificate { return n.now.Load().clients[user(n.config.Name)] }

// ServerCA is the pool to verify a server with.
func (n *Node) ServerCA() *x509.CertPool { return n.now.Load().serverCA }

// ClientCA is the pool to verify clients with.
func (n *Node) ClientCA() *x509.CertPool { return n.now.Load().clientCA }

// user is how the cluster calls a node that asks for something.
func user(name string) string { return "system:node:" + name }

func ignoreStop(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}
