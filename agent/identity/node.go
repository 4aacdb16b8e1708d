package identity

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"time"

	"github.com/skerry-io/skerry/internal/certs"
	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/kubeconfig"
	"github.com/skerry-io/skerry/internal/wire"
)

// Config is what a node must know to join.
type Config struct {
	Dir       string // where key and certificates are kept
	Server    string // URL of a server
	Endpoint  string // URL of the node's own API endpoint, which its components are told
	Name      string
	Addresses []netip.Addr
	Token     func() (wire.Token, error) // asked when it is needed: beside a server it is made at the same time
}

// Node is this node. Its methods but Run may be called once Run has called ready.
type Node struct {
	config Config
	log    *slog.Logger
	key    *ecdsa.PrivateKey
	joined *wire.Joined
}

// New prepares a node that has not joined yet.
func New(c Config, log *slog.Logger) *Node { return &Node{config: c, log: log} }

// Run joins and keeps trying until a server answers; a server that refuses is an error.
func (n *Node) Run(ctx context.Context, ready func()) error {
	var err error
	if n.key, err = certs.LoadKey(n.KeyFile()); err != nil {
		return fault.New("read the node's key").Because(err).Fix("remove %s: the node makes another one and gets new certificates for it", n.KeyFile())
	}
	if err := n.insist(ctx); err != nil {
		return ignoreStop(ctx, err)
	}
	if err := n.save(); err != nil {
		return fmt.Errorf("keep the node's certificates: %w", err)
	}
	ready()
	<-ctx.Done()
	return nil
}

// insist repeats the first contact while nobody answers, soon at first: beside a server it is up in a moment.
func (n *Node) insist(ctx context.Context) error {
	wait := 20 * time.Millisecond
	for told := false; ; wait = min(2*wait, 5*time.Second) {
		err := n.join(ctx)
		var refused *fault.Fault
		if err == nil || errors.As(err, &refused) {
			return err
		}
		if wait > time.Second && !told {
			n.log.Warn("waiting for a server", "server", n.config.Server, "err", err)
			told = true
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (n *Node) path(name string) string { return filepath.Join(n.config.Dir, name) }

// save writes certificates, and the kubeconfigs that lead to the node's own endpoint.
func (n *Node) save() error {
	for name, text := range map[string]string{
		"server-ca.crt": n.joined.ServerCA, "client-ca.crt": n.joined.ClientCA, "client-kubelet.crt": n.joined.Kubelet,
		"serving-kubelet.crt": n.joined.KubeletServer, "client-kube-proxy.crt": n.joined.KubeProxy,
	} {
		if err := certs.WriteFile(n.path(name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	for name, user := range map[string]string{n.KubeletConfig(): "client-kubelet.crt", n.KubeProxyConfig(): "client-kube-proxy.crt"} {
		file := kubeconfig.File{Server: n.config.Endpoint, CAFile: n.path("server-ca.crt"), CertFile: n.path(user), KeyFile: n.KeyFile()}
		if err := file.Write(name, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// Name is the node's name in the cluster.
func (n *Node) Name() string { return n.config.Name }

// Cluster is what the server told of the cluster.
func (n *Node) Cluster() wire.Cluster { return n.joined.Cluster }

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
func (n *Node) Serving() (tls.Certificate, error) { return n.pair(n.joined.KubeletServer) }

// Clients are the node's client certificates by the user they name.
func (n *Node) Clients() (map[string]tls.Certificate, error) {
	clients := map[string]tls.Certificate{}
	for _, text := range []string{n.joined.Kubelet, n.joined.KubeProxy} {
		pair, err := n.pair(text)
		if err != nil {
			return nil, err
		}
		clients[pair.Leaf.Subject.CommonName] = pair
	}
	return clients, nil
}

// ServerCA is the pool to verify a server with.
func (n *Node) ServerCA() *x509.CertPool { return pool(n.joined.ServerCA) }

// ClientCA is the pool to verify clients with.
func (n *Node) ClientCA() *x509.CertPool { return pool(n.joined.ClientCA) }

func (n *Node) pair(cert string) (tls.Certificate, error) {
	key, err := certs.EncodeKey(n.key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair([]byte(cert), key)
}

func pool(text string) *x509.CertPool {
	p := x509.NewCertPool()
	p.AppendCertsFromPEM([]byte(text))
	return p
}

func ignoreStop(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}
