package endpoint

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skerry-io/skerry/internal/certs"
	"github.com/skerry-io/skerry/tests/certtest"
)

// cluster is the authorities and certificates that an endpoint meets.
type cluster struct {
	serverCA, clientCA *certs.CA
	serving            tls.Certificate // of the endpoint, and of the API server
	clients            map[string]tls.Certificate
	renewed            atomic.Pointer[map[string]tls.Certificate]
}

const (
	kubelet = "system:node:pi"
	proxy   = "system:kube-proxy"
)

func issue(t *testing.T, ca *certs.CA, s certs.Subject) tls.Certificate {
	t.Helper()
	key, err := certs.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.Sign(s, key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}
}

func client(name string) certs.Subject { return certs.Subject{Name: name, Client: true} }

func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{serverCA: certtest.CA(t, "server-ca"), clientCA: certtest.CA(t, "client-ca")}
	c.serving = issue(t, c.serverCA, certs.Subject{Name: "server", IPs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}, Server: true})
	c.clients = map[string]tls.Certificate{kubelet: issue(t, c.clientCA, client(kubelet)), proxy: issue(t, c.clientCA, client(proxy))}
	return c
}

func (c *cluster) Serving() (tls.Certificate, error) { return c.serving, nil }
func (c *cluster) Clients() (map[string]tls.Certificate, error) {
	if renewed := c.renewed.Load(); renewed != nil {
		return *renewed, nil
	}
	return c.clients, nil
}

// renew gives the node other client certificates.
func (c *cluster) renew(t *testing.T) {
	c.renewed.Store(&map[string]tls.Certificate{kubelet: issue(t, c.clientCA, client(kubelet)), proxy: issue(t, c.clientCA, client(proxy))})
}

func (c *cluster) ServerCA() *x509.CertPool { return poolOf(c.serverCA) }
func (c *cluster) ClientCA() *x509.CertPool { return poolOf(c.clientCA) }

func poolOf(ca *certs.CA) *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(ca.Certificate)
	return p
}

// caller is an HTTP client that shows the first of the certificates, also to who would not accept it.
func (c *cluster) caller(t *testing.T, clients ...tls.Certificate) *http.Client {
	show := func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if len(clients) == 0 {
			return &tls.Certificate{}, nil
		}
		return &clients[0], nil
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: c.ServerCA(), GetClientCertificate: show}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// serve runs an API server at the address until the test ends.
func (c *cluster) serve(t *testing.T, address string, handler http.HandlerFunc) {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Error(err)
		return
	}
	srv := &http.Server{Handler: handler, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug), TLSConfig: &tls.Config{
		Certificates: []tls.Certificate{c.serving}, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: c.ClientCA()}}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = srv.ServeTLS(listener, "", "")
	}()
	t.Cleanup(func() {
		_ = srv.Close()
		<-ended
	})
}

// endpoint runs one in front of the server at upstream, and gives its URL and how to stop it.
func (c *cluster) endpoint(t *testing.T, upstream string, patience time.Duration) (at string, stop func() error) {
	t.Helper()
	address := freeAddress(t)
	e := New(Config{Address: address, Servers: newList("https://" + upstream)}, c, slog.New(slog.DiscardHandler))
	e.patience = patience
	ctx, cancel := context.WithCancel(t.Context())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- e.Run(ctx, func() { close(ready) }) }()
	select {
	case <-ready:
	case err := <-ended:
		t.Fatal(err)
	}
	stop = func() error {
		cancel()
		select {
		case err := <-ended:
			ended <- err
			return err
		case <-time.After(10 * time.Second):
			return errors.New("did not stop")
		}
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return address, stop
}
