package pki

import (
	"crypto/ecdsa"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"

	"github.com/skerry-io/skerry/internal/certs"
)

// Renew issues each leaf again that is missing, damaged, expiring or no longer fits its names, and gives those. It goes on
// after an error. A leaf that is only too old keeps its key, so that its files belong together at every moment for those
// who read them meanwhile.
func (p *PKI) Renew(log *slog.Logger) (renewed []certs.Pair, err error) {
	var failed []error
	for _, l := range p.leaves {
		again, err := l.issue(log)
		if err != nil {
			failed = append(failed, err)
		}
		if again {
			renewed = append(renewed, l.pair)
		}
	}
	return renewed, errors.Join(failed...)
}

// issue makes a leaf unless a good one lies there.
func (l leaf) issue(log *slog.Logger) (again bool, err error) {
	have, key, err := l.pair.Load()
	switch {
	case err == nil && l.fits(have):
		return false, nil
	case err == nil && l.ours(have):
		return true, l.renew(key)
	case err != nil && !errors.Is(err, certs.ErrNoPair):
		log.Warn("a certificate is damaged and is issued again", "file", l.pair.CertFile(), "err", err)
	}
	if key, err = certs.NewKey(); err != nil {
		return false, err
	}
	cert, err := l.ca.Sign(l.subject, key.Public())
	if err != nil {
		return false, fmt.Errorf("issue %s: %w", l.pair.CertFile(), err)
	}
	return true, l.pair.Save(cert, key)
}

// renew replaces a leaf by one for the same key.
func (l leaf) renew(key *ecdsa.PrivateKey) error {
	cert, err := l.ca.Sign(l.subject, key.Public())
	if err != nil {
		return fmt.Errorf("renew %s: %w", l.pair.CertFile(), err)
	}
	return l.pair.SaveCert(cert)
}

// ours says that the leaf's authority has issued a certificate.
func (l leaf) ours(have *x509.Certificate) bool {
	return have.CheckSignatureFrom(l.ca.Certificate) == nil
}

// fits says that a certificate is what would be issued now.
func (l leaf) fits(have *x509.Certificate) bool {
	var ips, want []netip.Addr
	for _, ip := range have.IPAddresses {
		addr, _ := netip.AddrFromSlice(ip)
		ips = append(ips, addr.Unmap())
	}
	for _, ip := range l.subject.IPs {
		want = append(want, ip.Unmap().WithZone("")) // what a certificate can say of it
	}
	return l.ours(have) && !certs.Expiring(have) &&
		have.Subject.CommonName == l.subject.Name && slices.Equal(have.Subject.Organization, l.subject.Groups) &&
		slices.Equal(have.DNSNames, l.subject.DNS) && slices.Equal(ips, want)
}
