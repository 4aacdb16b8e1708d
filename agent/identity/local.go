package identity

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"time"

	"github.com/skerry-io/skerry/internal/certs"
	"github.com/skerry-io/skerry/internal/durable"
	"github.com/skerry-io/skerry/internal/wire"
)

const (
	// localFile holds an authority that the node made for itself, of its one key. Its components trust it beside the cluster's, so
	// that they reach the node's own endpoint when the cluster's certificates are over and nobody is there to renew them; its
	// pods do while no server is in reach.
	localFile = "endpoint.crt"
	// endpointCA holds what the node's components trust as their endpoint.
	endpointCA = "endpoint-ca.crt"
	// localLife is how long a certificate of that authority is good; each start makes a new one.
	localLife = 100 * 365 * 24 * time.Hour
)

// vouch gives the node's own authority, and a certificate by it for the names of the API server. The file stays as it is while it
// is one of this key and for these names, because programs may have read it.
func (n *Node) vouch(c wire.Cluster) (*x509.Certificate, tls.Certificate, error) {
	dns, ips := c.APINames()
	names := certs.Subject{Name: "localhost", Server: true, DNS: append(dns, "localhost"),
		IPs: append(ips, netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback())}
	text, err := os.ReadFile(n.path(localFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, tls.Certificate{}, err
	}
	if kept, err := certs.DecodeCert(text); err == nil && n.key.PublicKey.Equal(kept.PublicKey) {
		if local, err := n.by(kept, names); err == nil {
			return kept, local, nil
		}
	}
	made, err := certs.NewOwnCA("skerry-node-"+n.config.Name, n.key, names.DNS, names.IPs)
	if err != nil {
		return nil, tls.Certificate{}, err
	}
	local, err := n.by(made.Certificate, names)
	if err != nil {
		return nil, local, err
	}
	return made.Certificate, local, durable.WriteFile(n.path(localFile), certs.EncodeCert(made.Certificate), 0o644)
}

// by is a certificate of the node's key for some names by an authority of the same key, which has to be good for them.
func (n *Node) by(authority *x509.Certificate, names certs.Subject) (tls.Certificate, error) {
	leaf, err := (&certs.CA{Certificate: authority, Key: n.key}).SignFor(localLife, names, n.key.Public())
	if err != nil {
		return tls.Certificate{}, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(authority)
	_, err = leaf.Verify(x509.VerifyOptions{Roots: roots})
	return tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: n.key, Leaf: leaf}, err
}
