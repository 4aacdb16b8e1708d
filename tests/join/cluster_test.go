package join

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/skerry-io/skerry/agent/identity"
	"github.com/skerry-io/skerry/internal/wire"
	"github.com/skerry-io/skerry/server/pki"
	"github.com/skerry-io/skerry/server/shared"
	"github.com/skerry-io/skerry/server/supervisor"
	"github.com/skerry-io/skerry/server/token"
)

// cluster is a server with an API that is a fake.
type cluster struct {
	*httptest.Server
	pki    *pki.PKI
	tokens *token.Store
	routes *supervisor.Supervisor
	api    *fake.Clientset
	place  shared.Place // of what further servers get
	refuse error        // what further servers are told instead

	mu       sync.Mutex // guards starting
	starting bool       // the API is
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{api: fake.NewClientset()}
	quiet := slog.New(slog.DiscardHandler)
	dir := t.TempDir()
	var err error
	c.place = placeIn(dir)
	if c.pki, err = pki.Open(filepath.Join(dir, "tls"), pki.Names{DNS: []string{"server"}, IPs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}}, quiet); err != nil {
		t.Fatal(err)
	}
	if c.tokens, err = token.Open(token.Config{File: filepath.Join(dir, "token"), AgentFile: filepath.Join(dir, "agent-token")},
		c.pki.ServerCA.Certificate, quiet); err != nil {
		t.Fatal(err)
	}
	c.routes = supervisor.New(supervisor.Config{PKI: c.pki, Tokens: c.tokens, Own: "server", Client: c.client,
		Cluster: wire.Cluster{ClusterDomain: "cluster.local"}, Servers: func(context.Context) []string { return []string{c.URL} }, Entry: c, Log: quiet})
	serving, err := tls.LoadX509KeyPair(c.pki.APIServer.CertFile(), c.pki.APIServer.KeyFile())
	if err != nil {
		t.Fatal(err)
	}
	c.Server = httptest.NewUnstartedServer(c.routes)
	c.Config.ErrorLog = log.New(io.Discard, "", 0)
	c.TLS = &tls.Config{Certificates: []tls.Certificate{serving}, ClientAuth: tls.RequestClientCert}
	c.StartTLS()
	t.Cleanup(c.Close)
	return c
}

func (c *cluster) client() kubernetes.Interface {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.starting {
		return nil
	}
	return c.api
}

func (c *cluster) setStarting(starting bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.starting = starting
}

// register makes a Node object, as a kubelet does.
func (c *cluster) register(t *testing.T, name string) {
	t.Helper()
	if _, err := c.api.CoreV1().Nodes().Create(t.Context(), &core.Node{ObjectMeta: meta.ObjectMeta{Name: name}}, meta.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// node is what a machine would start with.
func (c *cluster) node(t *testing.T, name string) identity.Config {
	t.Helper()
	return identity.Config{Dir: t.TempDir(), Server: c.URL, Endpoint: "https://127.0.0.1:1", Name: name,
		Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.9")}, Token: says(c.tokens.Agent())}
}

func says(token wire.Token) func() (wire.Token, error) {
	return func() (wire.Token, error) { return token, nil }
}

// start runs a node until it is ready, and stops it; the error is that with which it ended.
func start(t *testing.T, c identity.Config) (*identity.Node, error) {
	t.Helper()
	n := identity.New(c, slog.New(slog.DiscardHandler))
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	ready := false
	err := n.Run(ctx, func() { ready = true; stop() })
	if err == nil && !ready {
		t.Errorf("%s is not ready in time", c.Name)
	}
	return n, err
}

func mustStart(t *testing.T, c identity.Config) *identity.Node {
	t.Helper()
	n, err := start(t, c)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// call asks the server as a node.
func (c *cluster) call(t *testing.T, n *identity.Node, method, path string, body []byte) (status int, text string) {
	t.Helper()
	trust := &tls.Config{RootCAs: n.ServerCA(), Certificates: []tls.Certificate{n.Client()}}
	return c.callWith(t, trust, method, path, body)
}

func (c *cluster) callWith(t *testing.T, trust *tls.Config, method, path string, body []byte) (status int, text string) {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: trust}
	defer transport.CloseIdleConnections()
	r, err := http.NewRequestWithContext(t.Context(), method, c.URL+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := (&http.Client{Transport: transport}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(content)
}

// admin is how an administrator calls.
func (c *cluster) admin(t *testing.T) *tls.Config {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(c.pki.Admin.CertFile(), c.pki.Admin.KeyFile())
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(c.pki.ServerCA.Certificate)
	return &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}}
}
