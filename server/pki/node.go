package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/skerry-io/skerry/internal/certs"
	"github.com/skerry-io/skerry/internal/wire"
)

// NodeCerts signs the three certificates of a node's one key: as kubelet towards the API, as kubelet towards those who
// call it, and as kube-proxy.
func (p *PKI) NodeCerts(name string, ips []netip.Addr, public crypto.PublicKey) (kubelet, serving, proxy *x509.Certificate, err error) {
	loopback := []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1")}
	sign := func(ca *certs.CA, s certs.Subject) *x509.Certificate {
		if err != nil {
			return nil
		}
		var cert *x509.Certificate
		cert, err = ca.SignFor(p.NodeLife, s, public)
		return cert
	}
	kubelet = sign(p.ClientCA, certs.Subject{Name: wire.NodeUser + name, Groups: []string{wire.NodeGroup}, Client: true})
	serving = sign(p.ServerCA, certs.Subject{Name: name, DNS: []string{name, "localhost"}, IPs: append(loopback, ips...), Server: true})
	proxy = sign(p.ClientCA, certs.Subject{Name: "system:kube-proxy", Client: true})
	return kubelet, serving, proxy, err
}

// ServesAs says that the API server's certificate is good for this DNS name. A node that had one as well could pass for
// the API server.
func (p *PKI) ServesAs(name string) bool { return slices.Contains(p.names.DNS, name) }

// ServesAt says that the API server's certificate is good for this address, loopback ones aside: those are every
// machine's own.
func (p *PKI) ServesAt(ip netip.Addr) bool {
	return !ip.Unmap().IsLoopback() && slices.Contains(p.names.IPs, ip.Unmap())
}

// DecodePublic reads a public key in PKIX form, of the kinds that a node may have.
func DecodePublic(der []byte) (crypto.PublicKey, error) {
	key, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, fmt.Errorf("the node's public key: %w", err)
	}
	switch key.(type) {
	case *ecdsa.PublicKey, ed25519.PublicKey:
		return key, nil
	}
	return nil, errors.New("the node's public key is neither ECDSA nor Ed25519")
}
