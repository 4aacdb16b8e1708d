package pki

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"log/slog"
	"net/netip"
	"testing"
)

func TestWhatTheAPIServerServesAs(t *testing.T) {
	p, err := Open(t.TempDir(), Names{DNS: []string{"kubernetes", "localhost"},
		IPs: []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("10.43.0.1")}}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"kubernetes": true, "localhost": true, "pi": false, "": false} {
		if p.ServesAs(name) != want {
			t.Errorf("%q: %t", name, !want)
		}
	}
	for ip, want := range map[string]bool{"10.43.0.1": true, "::ffff:10.43.0.1": true, "127.0.0.1": false, "10.0.0.9": false} {
		if p.ServesAt(netip.MustParseAddr(ip)) != want {
			t.Errorf("%s: %t", ip, !want)
		}
	}
}

func TestAKeyOfAnotherKindIsRefused(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := DecodePublic(der); err == nil {
		t.Error("an RSA key is taken")
	}
}

func TestAMemberOfEtcdIsBothClientAndServer(t *testing.T) {
	p, _ := reopen(t, t.TempDir(), testNames())
	if p.MemberCA != nil {
		t.Error("a single server has an authority for members")
	}
	ip := netip.MustParseAddr("10.0.0.1")
	if err := p.OpenMember("pi", []netip.Addr{ip}, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	cert, _, err := p.Member.Load()
	if err != nil {
		t.Fatal(err)
	}
	trusted(t, cert, p.MemberCA, x509.ExtKeyUsageServerAuth)
	trusted(t, cert, p.MemberCA, x509.ExtKeyUsageClientAuth)
	if err := cert.VerifyHostname(ip.String()); err != nil {
		t.Error(err)
	}
	if err := cert.CheckSignatureFrom(p.ClientCA.Certificate); err == nil {
		t.Error("the authority of all clients has signed it")
	}
	if renewed, err := p.Renew(slog.New(slog.DiscardHandler)); len(renewed) > 0 || err != nil {
		t.Errorf("renewed %v, %v", renewed, err)
	}
}
