package pki

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skerry-io/skerry/internal/certs"
	"github.com/skerry-io/skerry/internal/fault"
)

func testNames() Names {
	return Names{DNS: []string{"kubernetes", "node1"}, IPs: []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::ffff:10.0.0.1"),
		netip.MustParseAddr("fe80::1%eth0")}}
}

// reopen opens the directory and gives what was logged.
func reopen(t *testing.T, dir string, names Names) (*PKI, string) {
	t.Helper()
	var out bytes.Buffer
	p, err := Open(dir, names, slog.New(slog.NewTextHandler(&out, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return p, out.String()
}

func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, entry := range entries {
		text, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[entry.Name()] = string(text)
	}
	return all
}

// changed names the files whose content is not what it was.
func changed(before, after map[string]string) []string {
	var names []string
	for name, text := range after {
		if before[name] != text {
			names = append(names, name)
		}
	}
	return names
}

func TestASecondOpenChangesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tls")
	first, told := reopen(t, dir, testNames())
	if told != "" {
		t.Errorf("a first start warns: %s", told)
	}
	before := files(t, dir)
	second, _ := reopen(t, dir, testNames())
	if names := changed(before, files(t, dir)); len(names) > 0 {
		t.Errorf("written again: %v", names)
	}
	if !second.ServerCA.Certificate.Equal(first.ServerCA.Certificate) || !second.ServiceAccountKey.Equal(first.ServiceAccountKey) {
		t.Error("a second start has other keys")
	}
}

func TestEveryLeafIsTrustedAsWhatItIs(t *testing.T) {
	p, _ := reopen(t, t.TempDir(), testNames())
	for _, c := range []struct {
		pair  certs.Pair
		ca    *certs.CA
		usage x509.ExtKeyUsage
		user  string
		group string
	}{
		{p.APIServer, p.ServerCA, x509.ExtKeyUsageServerAuth, "kube-apiserver", ""},
		{p.KubeletClient, p.ClientCA, x509.ExtKeyUsageClientAuth, "kube-apiserver", "system:masters"},
		{p.AuthProxy, p.RequestCA, x509.ExtKeyUsageClientAuth, "system:auth-proxy", ""},
		{p.Admin, p.ClientCA, x509.ExtKeyUsageClientAuth, "system:admin", "system:masters"},
		{p.ControllerManager, p.ClientCA, x509.ExtKeyUsageClientAuth, "system:kube-controller-manager", ""},
		{p.Scheduler, p.ClientCA, x509.ExtKeyUsageClientAuth, "system:kube-scheduler", ""},
	} {
		cert, _, err := c.pair.Load()
		if err != nil {
			t.Fatal(err)
		}
		trusted(t, cert, c.ca, c.usage)
		if cert.Subject.CommonName != c.user || strings.Join(cert.Subject.Organization, ",") != c.group {
			t.Errorf("%s is %s", c.pair.Base, cert.Subject)
		}
	}
}

func trusted(t *testing.T, cert *x509.Certificate, ca *certs.CA, usage x509.ExtKeyUsage) {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(ca.Certificate)
	if _, err := cert.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{usage}}); err != nil {
		t.Errorf("%s: %v", cert.Subject.CommonName, err)
	}
}

func TestADamagedAuthorityIsAnErrorWithACure(t *testing.T) {
	for name, harm := range map[string]func(pair certs.Pair) error{
		"the certificate is no certificate": func(p certs.Pair) error { return os.WriteFile(p.CertFile(), []byte("x"), 0o644) },
		"the key is no key":                 func(p certs.Pair) error { return os.WriteFile(p.KeyFile(), []byte("x"), 0o600) },
		"the key is an empty file":          func(p certs.Pair) error { return os.Truncate(p.KeyFile(), 0) },
		"the key is gone":                   func(p certs.Pair) error { return os.Remove(p.KeyFile()) },
		"the key is another's":              func(p certs.Pair) error { return errors.Join(os.Remove(p.KeyFile()), strayKey(p)) },
		"a key alone is no key": func(p certs.Pair) error {
			return errors.Join(os.Remove(p.CertFile()), os.WriteFile(p.KeyFile(), []byte("x"), 0o600))
		},
		"the certificate is a leaf": func(p certs.Pair) error {
			leaf := certs.Pair{Base: filepath.Join(filepath.Dir(p.Base), "client-admin")}
			return errors.Join(os.Rename(leaf.CertFile(), p.CertFile()), os.Rename(leaf.KeyFile(), p.KeyFile()))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			p, _ := reopen(t, dir, testNames())
			if err := harm(p.Authority("client-ca")); err != nil {
				t.Fatal(err)
			}
			before := files(t, dir)
			_, err := Open(dir, testNames(), slog.New(slog.DiscardHandler))
			var told *fault.Fault
			if !errors.As(err, &told) || !strings.Contains(told.Cure(), "client-ca.key") || !strings.Contains(told.Cure(), "backup") {
				t.Fatalf("got %v", err)
			}
			if names := changed(before, files(t, dir)); len(names) > 0 {
				t.Errorf("written all the same: %v", names)
			}
		})
	}
}

func strayKey(p certs.Pair) error {
	_, err := certs.LoadKey(p.KeyFile())
	return err
}

func TestAPowerCutInsideTheFirstStartIsHealed(t *testing.T) {
	dir := t.TempDir()
	old, _ := reopen(t, dir, testNames())
	if err := os.Remove(old.Authority("server-ca").CertFile()); err != nil {
		t.Fatal(err)
	}
	p, told := reopen(t, dir, testNames())
	if !p.ServerCA.Key.Equal(old.ServerCA.Key) {
		t.Error("the authority has another key: every node is cut off")
	}
	if !strings.Contains(told, "server-ca.crt") {
		t.Errorf("nothing is said of it: %q", told)
	}
	cert, _, err := p.APIServer.Load()
	if err != nil {
		t.Fatal(err)
	}
	trusted(t, cert, p.ServerCA, x509.ExtKeyUsageServerAuth)
	trusted(t, cert, old.ServerCA, x509.ExtKeyUsageServerAuth)
}

func TestAnAuthorityThatExpired(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		_, _ = reopen(t, dir, testNames())
		time.Sleep(50 * 365 * 24 * time.Hour)
		_, err := Open(dir, testNames(), slog.New(slog.DiscardHandler))
		var told *fault.Fault
		if !errors.As(err, &told) || !strings.Contains(err.Error(), "expired") || !strings.Contains(told.Cure(), "clock") {
			t.Errorf("got %v", err)
		}
	})
}

func TestALeafIsIssuedAgainWhenItMust(t *testing.T) {
	more := testNames()
	more.IPs = append(more.IPs, netip.MustParseAddr("10.0.0.2"))
	for name, c := range map[string]struct {
		harm  func(*PKI) error
		names Names
		warns bool
	}{
		"its certificate is damaged": {func(p *PKI) error { return os.WriteFile(p.APIServer.CertFile(), []byte("x"), 0o644) }, testNames(), true},
		"its key is damaged":         {func(p *PKI) error { return os.WriteFile(p.APIServer.KeyFile(), []byte("x"), 0o600) }, testNames(), true},
		"its key is another's":       {func(p *PKI) error { return errors.Join(os.Remove(p.APIServer.KeyFile()), strayKey(p.APIServer)) }, testNames(), true},
		"its key is gone":            {func(p *PKI) error { return os.Remove(p.APIServer.KeyFile()) }, testNames(), true},
		"both are gone": {func(p *PKI) error {
			return errors.Join(os.Remove(p.APIServer.KeyFile()), os.Remove(p.APIServer.CertFile()))
		}, testNames(), false},
		"the machine's address is another": {func(*PKI) error { return nil }, more, false},
		"another authority signed it": {func(p *PKI) error {
			cert, err := p.ClientCA.Sign(certs.Subject{Name: "kube-apiserver", DNS: testNames().DNS, IPs: testNames().IPs, Server: true}, p.ServiceAccountKey.Public())
			return errors.Join(err, p.APIServer.Save(cert, p.ServiceAccountKey))
		}, testNames(), false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			old, _ := reopen(t, dir, testNames())
			admin := files(t, dir)["client-admin.crt"]
			if err := c.harm(old); err != nil {
				t.Fatal(err)
			}
			p, told := reopen(t, dir, c.names)
			if (told != "") != c.warns {
				t.Errorf("warned: %q", told)
			}
			cert, _, err := p.APIServer.Load()
			if err != nil {
				t.Fatal(err)
			}
			trusted(t, cert, old.ServerCA, x509.ExtKeyUsageServerAuth)
			if err := cert.VerifyHostname(c.names.IPs[len(c.names.IPs)-1].WithZone("").String()); err != nil {
				t.Error(err)
			}
			if files(t, dir)["client-admin.crt"] != admin {
				t.Error("a leaf with nothing wrong was issued again")
			}
		})
	}
}

func TestALeafIsRenewedBeforeItExpires(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		_, _ = reopen(t, dir, testNames())
		before := files(t, dir)
		time.Sleep(28 * 365 * 24 * time.Hour) // from the bubble's 2000 to 2028, when a leaf of 2026 is over
		_, _ = reopen(t, dir, testNames())
		after := files(t, dir)
		for name, text := range after {
			if leaf := !strings.Contains(name, "-ca.") && strings.HasSuffix(name, ".crt"); leaf == (before[name] == text) {
				t.Errorf("%s: kept is %t", name, !leaf)
			}
		}
	})
}

func TestADamagedServiceAccountKeyIsNotReplaced(t *testing.T) {
	dir := t.TempDir()
	p, _ := reopen(t, dir, testNames())
	if err := os.WriteFile(p.ServiceAccountKeyFile(), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(dir, testNames(), slog.New(slog.DiscardHandler))
	var told *fault.Fault
	if !errors.As(err, &told) || !strings.Contains(told.Cure(), "backup") {
		t.Errorf("got %v", err)
	}
}

func TestNodeCerts(t *testing.T) {
	p, _ := reopen(t, t.TempDir(), testNames())
	key, err := certs.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	kubelet, serving, proxy, err := p.NodeCerts("pi", []netip.Addr{netip.MustParseAddr("10.0.0.9")}, key.Public())
	if err != nil {
		t.Fatal(err)
	}
	trusted(t, kubelet, p.ClientCA, x509.ExtKeyUsageClientAuth)
	trusted(t, serving, p.ServerCA, x509.ExtKeyUsageServerAuth)
	trusted(t, proxy, p.ClientCA, x509.ExtKeyUsageClientAuth)
	if kubelet.Subject.CommonName != "system:node:pi" || strings.Join(kubelet.Subject.Organization, ",") != "system:nodes" {
		t.Errorf("the kubelet is %s", kubelet.Subject)
	}
	if proxy.Subject.CommonName != "system:kube-proxy" || len(proxy.Subject.Organization) > 0 {
		t.Errorf("kube-proxy is %s", proxy.Subject)
	}
	for _, name := range []string{"pi", "localhost", "127.0.0.1", "::1", "10.0.0.9"} {
		if err := serving.VerifyHostname(name); err != nil {
			t.Error(err)
		}
	}
	for _, cert := range []*x509.Certificate{kubelet, serving, proxy} {
		if !key.PublicKey.Equal(cert.PublicKey) {
			t.Errorf("%s is for another key", cert.Subject.CommonName)
		}
	}
}

func TestDecodePublic(t *testing.T) {
	key, err := certs.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	var public crypto.PublicKey
	if public, err = DecodePublic(der); err != nil || !key.PublicKey.Equal(public.(*ecdsa.PublicKey)) {
		t.Errorf("got %v, %v", public, err)
	}
	if _, err := DecodePublic(der[1:]); err == nil || !strings.Contains(err.Error(), "public key") {
		t.Errorf("a damaged key: got %v", err)
	}
}
