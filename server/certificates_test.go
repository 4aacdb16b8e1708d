package server

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/transport"

	"github.com/skerry-io/skerry/internal/certs"
	"github.com/skerry-io/skerry/server/pki"
)

// certified is a server as far as its certificates go.
func certified(t *testing.T, dir string) *Server {
	t.Helper()
	s := &Server{log: slog.New(slog.DiscardHandler)}
	s.config.DataDir, s.config.WriteKubeconfig, s.config.WriteKubeconfigMode = dir, dir+"/admin.yaml", 0o600
	s.paths = s.config.Paths()
	var err error
	if s.pki, err = pki.Open(s.paths.TLSDir(), pki.Names{DNS: []string{"localhost"}, IPs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}}, s.log); err != nil {
		t.Fatal(err)
	}
	if err := s.loadServing(); err != nil {
		t.Fatal(err)
	}
	if err := s.writeKubeconfigs(); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestCertificatesAreRenewedWhileTheServerRuns(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := certified(t, dir)
		const year = 365 * 24 * time.Hour
		serving, admin := s.serving.Load(), read(t, s.config.WriteKubeconfig)
		time.Sleep(time.Until(serving.Leaf.NotAfter) - year/3 - time.Hour) // an hour before a third of their lives is left
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.certificates(ctx, func() {}) }()
		time.Sleep(time.Hour / 2)
		if s.serving.Load() != serving || read(t, s.config.WriteKubeconfig) != admin {
			t.Error("certificates that are good for long are renewed")
		}
		if err := os.Rename(dir+"/admin.yaml", dir+"/aside"); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(dir+"/admin.yaml", 0o700); err != nil { // the kubeconfig cannot be written for a while
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if now := s.serving.Load(); now == serving || time.Until(now.Leaf.NotAfter) < year*9/10 {
			t.Errorf("the port serves with a certificate until %s", now.Leaf.NotAfter)
		}
		if err := os.Remove(dir + "/admin.yaml"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(renewEvery)
		now := read(t, s.config.WriteKubeconfig)
		if now == admin {
			t.Error("the administrator's kubeconfig has the old certificate")
		}
		if c, err := clientcmd.RESTConfigFromKubeConfig([]byte(now)); err != nil {
			t.Error(err)
		} else if leaf, err := certs.DecodeCert(c.CertData); err != nil || time.Until(leaf.NotAfter) < year*9/10 {
			t.Errorf("the administrator's certificate: %v", err)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// TestCertificatesAreRenewedWhenTheClockIsSet: a board without a battery that hears the time months later.
func TestCertificatesAreRenewedWhenTheClockIsSet(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := certified(t, dir)
		serving := s.serving.Load()
		time.Sleep(time.Until(serving.Leaf.NotAfter) + time.Hour)
		stepped := make(chan struct{})
		s.Clock(stepped)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.certificates(ctx, func() {}) }()
		stepped <- struct{}{}
		synctest.Wait()
		if now := s.serving.Load(); now == serving || time.Now().After(now.Leaf.NotAfter) {
			t.Error("the port serves with a certificate that is over")
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestEveryClientTakesTheNewCertificate: who was given files shows the new certificate without being told, also when its
// connection was open.
func TestEveryClientTakesTheNewCertificate(t *testing.T) {
	was := transport.CertCallbackRefreshDuration
	transport.CertCallbackRefreshDuration = 50 * time.Millisecond
	t.Cleanup(func() { transport.CertCallbackRefreshDuration = was })
	s := certified(t, t.TempDir())
	for _, pair := range []certs.Pair{s.pki.Admin, s.pki.ControllerManager, s.pki.Scheduler} {
		age(t, s.pki.ClientCA, pair)
	}
	shown := serveTo(t, s)
	for who, client := range clients(t, s) {
		t.Run(who, func(t *testing.T) {
			before := shown(t, client)
			if _, err := s.renew(false); err != nil {
				t.Fatal(err)
			}
			late := time.Now().Add(10 * time.Second)
			for now := before; now == before || now == ""; now = shown(t, client) {
				if time.Now().After(late) {
					t.Fatal("it goes on with the old certificate")
				}
				time.Sleep(20 * time.Millisecond)
			}
			age(t, s.pki.ClientCA, s.pki.Admin) // for the next one
			age(t, s.pki.ClientCA, s.pki.ControllerManager)
			age(t, s.pki.ClientCA, s.pki.Scheduler)
		})
	}
}

// clients are those of this process that show a certificate of the control plane.
func clients(t *testing.T, s *Server) map[string]http.RoundTripper {
	t.Helper()
	all := map[string]http.RoundTripper{}
	add := func(who string, c *rest.Config, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if all[who], err = rest.TransportFor(c); err != nil {
			t.Fatal(err)
		}
	}
	add("the server's own rooms", s.adminConfig(), nil)
	for _, component := range []string{"controllers", "scheduler"} {
		c, err := clientcmd.BuildConfigFromFlags("", s.credential(component))
		add(component, c, err)
	}
	return all
}

// serveTo listens where the server's clients look for it, and tells by which certificate one is known.
func serveTo(t *testing.T, s *Server) (shown func(*testing.T, http.RoundTripper) string) {
	t.Helper()
	web := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(r.TLS.PeerCertificates[0].SerialNumber.String()))
	}))
	web.EnableHTTP2 = true
	web.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert, Certificates: []tls.Certificate{*s.serving.Load()}}
	web.StartTLS()
	t.Cleanup(web.Close)
	at, err := url.Parse(web.URL)
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(at.Host)
	if err != nil {
		t.Fatal(err)
	}
	if s.config.HTTPSListenPort, err = strconv.Atoi(port); err != nil {
		t.Fatal(err)
	}
	if err := s.writeKubeconfigs(); err != nil {
		t.Fatal(err)
	}
	return func(t *testing.T, via http.RoundTripper) string {
		t.Helper()
		answer, err := (&http.Client{Transport: via}).Get(web.URL)
		if err != nil {
			return "" // its connection was closed under it
		}
		defer answer.Body.Close()
		text := make([]byte, 100)
		n, _ := answer.Body.Read(text)
		return string(text[:n])
	}
}

// age puts a certificate in the place of a good one that has a month left.
func age(t *testing.T, ca *certs.CA, pair certs.Pair) {
	t.Helper()
	cert, key, err := pair.Load()
	if err != nil {
		t.Fatal(err)
	}
	cert.NotAfter = time.Now().Add(30 * 24 * time.Hour)
	cert.PublicKey = key.Public()
	der, err := x509.CreateCertificate(rand.Reader, cert, ca.Certificate, key.Public(), ca.Key)
	if err != nil {
		t.Fatal(err)
	}
	if cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	if err := pair.SaveCert(cert); err != nil {
		t.Fatal(err)
	}
}
