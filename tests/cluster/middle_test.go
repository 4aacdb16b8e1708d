package cluster_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/skerry-io/skerry/tests/testhost"
)

// man stands between a joining agent and the server, with an authority of his own. On one port he passes the real
// server's CA on, on the other he shows his own.
type man struct {
	address string // of the host he is on
	ca      []byte // PEM
	proxy   *httputil.ReverseProxy

	mu      sync.Mutex // guards secrets
	secrets []string   // what he was told
}

const showsTheirs, showsHis = "7443", "8443"

// newMan puts him on 127.0.0.1 of the host.
func newMan(t *testing.T, c *cluster, on *testhost.Host) *man {
	t.Helper()
	target, err := url.Parse(c.url())
	if err != nil {
		t.Fatal(err)
	}
	m := &man{address: "127.0.0.1", proxy: httputil.NewSingleHostReverseProxy(target)}
	m.proxy.Transport = &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return on.Dial(ctx, network, address)
		}}
	pair := m.certificate(t)
	for _, port := range []string{showsTheirs, showsHis} {
		server := &http.Server{ErrorLog: log.New(io.Discard, "", 0), Handler: m.on(port), TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}}}
		listener := on.Listen(m.address + ":" + port)
		done := make(chan error)
		go func() { done <- server.ServeTLS(listener, "", "") }()
		t.Cleanup(func() {
			_ = server.Close()
			<-done
		})
	}
	return m
}

// certificate makes his authority and a certificate of it.
func (m *man) certificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	form := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "skerry-server-ca"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.ParseIP(m.address)},
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, form, form, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	m.ca = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// on handles what comes to a port.
func (m *man) on(port string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if secret := r.Header.Get("Authorization"); secret != "" {
			m.mu.Lock()
			m.secrets = append(m.secrets, secret)
			m.mu.Unlock()
		}
		if port == showsHis && r.URL.Path == "/v1-skerry/cacerts" {
			_, _ = w.Write(m.ca)
			return
		}
		m.proxy.ServeHTTP(w, r)
	})
}

// heard gives the secrets he was told.
func (m *man) heard() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.secrets
}

// attempts are ways to fall for him.
func (m *man) attempts() []attempt {
	through := func(port string) func(*testing.T, *cluster) []string {
		return func(t *testing.T, c *cluster) []string {
			return []string{"--server", "https://" + m.address + ":" + port, "--token", c.token(t)}
		}
	}
	return []attempt{
		{what: "a man in the middle with his own CA", args: through(showsHis), says: []string{`not the one this token was made by`}},
		{what: "a man in the middle who shows the server's CA", args: through(showsTheirs), stays: true, says: []string{`something stands between|not a server of`}},
	}
}
