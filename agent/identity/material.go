package identity

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/skerry-io/skerry/internal/certs"
	"github.com/skerry-io/skerry/internal/wire"
)

// kept is what a node keeps on disk of what it was told, and of what it had said.
type kept struct {
	Name      string       `json:"name"`
	Addresses []netip.Addr `json:"addresses"`
	// Life is how long the certificates were to live when they were given; a year when it is zero.
	Life time.Duration `json:"life,omitempty"`
	wire.Joined
}

// material is what was told, ready to be used. It never changes: a newer one takes its place.
type material struct {
	kept
	ca       *x509.Certificate // of the server
	serving  tls.Certificate
	clients  map[string]tls.Certificate // by user
	serverCA *x509.CertPool
	clientCA *x509.CertPool
}

// read makes certificates of their texts. Those that are not for this node's key, or for another name, are of no use.
func (n *Node) read(k kept) (*material, error) {
	m := &material{kept: k, clients: map[string]tls.Certificate{}}
	key, err := certs.EncodeKey(n.key)
	if err != nil {
		return nil, err
	}
	if m.serving, err = tls.X509KeyPair([]byte(k.KubeletServer), key); err != nil {
		return nil, fmt.Errorf("the serving certificate: %w", err)
	}
	for _, text := range []string{k.Kubelet, k.KubeProxy} {
		pair, err := tls.X509KeyPair([]byte(text), key)
		if err != nil {
			return nil, fmt.Errorf("a client certificate: %w", err)
		}
		m.clients[pair.Leaf.Subject.CommonName] = pair
	}
	if _, ours := m.clients[user(k.Name)]; !ours {
		return nil, fmt.Errorf("no client certificate is for the name %q", k.Name)
	}
	if m.ca, err = certs.DecodeCert([]byte(k.ServerCA)); err != nil {
		return nil, fmt.Errorf("the server's CA: %w", err)
	}
	if _, err := certs.DecodeCert([]byte(k.ClientCA)); err != nil {
		return nil, fmt.Errorf("the clients' CA: %w", err)
	}
	m.serverCA, m.clientCA = pool(k.ServerCA), pool(k.ClientCA)
	return m, nil
}

func pool(text string) *x509.CertPool {
	p := x509.NewCertPool()
	p.AppendCertsFromPEM([]byte(text))
	return p
}

func (m *material) leaves() []*x509.Certificate {
	leaves := []*x509.Certificate{m.serving.Leaf}
	for _, pair := range m.clients {
		leaves = append(leaves, pair.Leaf)
	}
	return leaves
}

// expired says that one of the certificates does not count any more.
func (m *material) expired() bool { return slices.ContainsFunc(m.leaves(), certs.Over) }

// worn says that two thirds of a certificate's life are over, or that certificates live shorter by now.
func (m *material) worn() bool {
	return certs.Life(m.CertificateLife) < certs.Life(m.Life) || slices.ContainsFunc(m.leaves(), func(c *x509.Certificate) bool { return certs.Worn(c, m.Life) })
}

// serves says that the serving certificate was made for these addresses.
func (m *material) serves(addresses []netip.Addr) bool {
	sorted := func(list []netip.Addr) []netip.Addr {
		return slices.SortedFunc(slices.Values(list), netip.Addr.Compare)
	}
	return slices.Equal(sorted(m.Addresses), sorted(addresses))
}

// alike says that a node works the same way with both: the life of its certificates is not something that it starts with.
func alike(a, b wire.Cluster) bool {
	a.CertificateLife, b.CertificateLife = 0, 0
	return sameCluster(a, b)
}

// sameCluster compares what two answers say of the cluster. In text: an empty list and none are the same.
func sameCluster(a, b wire.Cluster) bool {
	one, err1 := json.Marshal(a)
	two, err2 := json.Marshal(b)
	return err1 == nil && err2 == nil && string(one) == string(two)
}
