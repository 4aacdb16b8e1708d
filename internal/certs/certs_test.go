package certs

import (
	"bytes"
	"crypto/x509"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skerry-io/skerry/internal/version"
)

func mustCA(t *testing.T, name string) *CA {
	t.Helper()
	key, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	ca, err := NewCA(name, key)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func mustLeaf(t *testing.T, ca *CA, s Subject) *x509.Certificate {
	t.Helper()
	key, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.Sign(s, key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func verify(cert *x509.Certificate, ca *CA, at time.Time, usage x509.ExtKeyUsage) error {
	roots := x509.NewCertPool()
	roots.AddCert(ca.Certificate)
	_, err := cert.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{usage}})
	return err
}

func TestALeafIsGoodForWhatItSaysOnly(t *testing.T) {
	ca, other := mustCA(t, "ours"), mustCA(t, "theirs")
	server := mustLeaf(t, ca, Subject{Name: "api", DNS: []string{"api.local"},
		IPs: []netip.Addr{netip.MustParseAddr("::ffff:10.0.0.1"), netip.MustParseAddr("fd00::1")}, Server: true})
	client := mustLeaf(t, ca, Subject{Name: "someone", Groups: []string{"a", "b"}, Client: true})
	const serve, ask = x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth
	for name, c := range map[string]struct {
		cert  *x509.Certificate
		ca    *CA
		usage x509.ExtKeyUsage
		good  bool
	}{
		"a serving certificate serves":                   {server, ca, serve, true},
		"a serving certificate is no client":             {server, ca, ask, false},
		"a client certificate asks":                      {client, ca, ask, true},
		"a client certificate does not serve":            {client, ca, serve, false},
		"another authority's certificate does not count": {client, other, ask, false},
	} {
		if err := verify(c.cert, c.ca, time.Now(), c.usage); (err == nil) != c.good {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for _, name := range []string{"api.local", "10.0.0.1", "fd00::1"} {
		if err := server.VerifyHostname(name); err != nil {
			t.Error(err)
		}
	}
	if client.Subject.CommonName != "someone" || !slices.Equal(client.Subject.Organization, []string{"a", "b"}) {
		t.Errorf("user and groups are lost: %s", client.Subject)
	}
}

// In a synctest bubble the clock stands at 2000, before this program existed.
func TestABoardWithoutAClockGetsCertificatesThatLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if !time.Now().Before(version.Earliest()) {
			t.Fatal("the bubble's clock is not in the past")
		}
		ca := mustCA(t, "ca")
		leaf := mustLeaf(t, ca, Subject{Name: "x", Client: true})
		for _, at := range []time.Time{time.Unix(1, 0), time.Now(), version.Earliest(), version.Earliest().Add(leafLife - time.Hour)} {
			if err := verify(leaf, ca, at, x509.ExtKeyUsageClientAuth); err != nil {
				t.Errorf("at %s: %v", at, err)
			}
		}
		if Expiring(leaf) || Expiring(ca.Certificate) || ca.Expired() {
			t.Error("a new certificate is called worn out")
		}
	})
}

func TestExpiring(t *testing.T) {
	for name, c := range map[string]struct {
		left time.Duration
		ca   bool
		want bool
	}{
		"a leaf with half its life":       {leafLife / 2, false, false},
		"a leaf with a quarter":           {leafLife / 4, false, true},
		"a leaf that is over":             {-time.Hour, false, true},
		"an authority with half its life": {caLife / 2, true, false},
		"an authority with a quarter":     {caLife / 4, true, true},
	} {
		cert := &x509.Certificate{NotAfter: time.Now().Add(c.left), IsCA: c.ca}
		if got := Expiring(cert); got != c.want {
			t.Errorf("%s: got %t", name, got)
		}
	}
	if !(&CA{Certificate: &x509.Certificate{NotAfter: time.Now().Add(-time.Second)}}).Expired() {
		t.Error("an authority whose time is over does not say so")
	}
}

func TestAnAuthorityRemadeFromItsKeyTrustsItsOldLeaves(t *testing.T) {
	old := mustCA(t, "ca")
	leaf := mustLeaf(t, old, Subject{Name: "x", Client: true})
	again, err := NewCA("ca", old.Key)
	if err != nil {
		t.Fatal(err)
	}
	if err := verify(leaf, again, time.Now(), x509.ExtKeyUsageClientAuth); err != nil {
		t.Error(err)
	}
	if Fingerprint(again.Certificate) == Fingerprint(old.Certificate) {
		t.Error("two certificates have one fingerprint")
	}
}

func TestPEM(t *testing.T) {
	ca := mustCA(t, "ca")
	leaf := mustLeaf(t, ca, Subject{Name: "x"})
	first, err := DecodeCert(EncodeCert(leaf, ca.Certificate))
	if err != nil || !first.Equal(leaf) {
		t.Errorf("the first of two certificates is lost: %v", err)
	}
	text, err := EncodeKey(ca.Key)
	if err != nil {
		t.Fatal(err)
	}
	if key, err := DecodeKey(text); err != nil || !key.Equal(ca.Key) {
		t.Errorf("the key is lost: %v", err)
	}
	for name, bad := range map[string][]byte{
		"nothing":             nil,
		"no PEM":              []byte("hello"),
		"cut in half":         text[:len(text)/2],
		"bytes that are none": bytes.Replace(EncodeCert(leaf), []byte("MII"), []byte("AAA"), 1),
	} {
		if _, err := DecodeCert(bad); err == nil {
			t.Errorf("%s is taken for a certificate", name)
		}
		if _, err := DecodeKey(bad); err == nil {
			t.Errorf("%s is taken for a key", name)
		}
	}
	if _, err := DecodeCert(text); err == nil || !strings.Contains(err.Error(), "no certificate") {
		t.Errorf("a key is taken for a certificate: %v", err)
	}
}
