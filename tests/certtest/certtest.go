package certtest

import (
	"net/netip"
	"path/filepath"
	"testing"

	"github.com/skerry-io/skerry/internal/certs"
	"github.com/skerry-io/skerry/internal/durable"
)

// CA makes an authority.
func CA(t testing.TB, name string) *certs.CA {
	t.Helper()
	key, err := certs.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	ca, err := certs.NewCA(name, key)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// Authority is one whose certificates lie in files, in a directory that is gone with the test.
type Authority struct {
	dir string
	ca  *certs.CA
}

// New makes one.
func New(t testing.TB) *Authority {
	t.Helper()
	dir := t.TempDir()
	a := &Authority{dir: dir, ca: CA(t, "authority "+dir)}
	if err := durable.WriteFile(a.File(), certs.EncodeCert(a.ca.Certificate), 0o600); err != nil {
		t.Fatal(err)
	}
	return a
}

// File holds its certificate.
func (a *Authority) File() string { return filepath.Join(a.dir, "ca.crt") }

// Issue makes a certificate for an address, or several, and gives the files: the authority's certificate, the new one, and its key.
func (a *Authority) Issue(t testing.TB, address netip.Addr, more ...netip.Addr) (authority, cert, key string) {
	t.Helper()
	secret, err := certs.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	signed, err := a.ca.Sign(certs.Subject{Name: "member", IPs: append(more, address), Server: true, Client: true}, secret.Public())
	if err != nil {
		t.Fatal(err)
	}
	pair := certs.Pair{Base: filepath.Join(a.dir, address.String())}
	if err := pair.Save(signed, secret); err != nil {
		t.Fatal(err)
	}
	return a.File(), pair.CertFile(), pair.KeyFile()
}
