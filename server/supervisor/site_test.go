package supervisor

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"testing"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/skerry-io/skerry/internal/certs"
	"github.com/skerry-io/skerry/internal/run"
	"github.com/skerry-io/skerry/internal/status"
	"github.com/skerry-io/skerry/internal/wire"
	"github.com/skerry-io/skerry/server/nodes"
	"github.com/skerry-io/skerry/server/pki"
	"github.com/skerry-io/skerry/server/token"
)

// Where requests of a test come from.
const (
	elsewhere = "192.0.2.7:40000"
	here      = "127.0.0.1:40000"
)

// site is a server's routes with what they were made of.
type site struct {
	*Supervisor
	api      *fake.Clientset
	starting bool // the API server is
	log      bytes.Buffer
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{api: fake.NewClientset()}
	log := slog.New(slog.NewTextHandler(&s.log, nil))
	authorities, err := pki.Open(t.TempDir(), pki.Names{DNS: []string{"kubernetes", "server"},
		IPs: []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("10.0.0.1")}}, log)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	tokens, err := token.Open(token.Config{File: filepath.Join(dir, "token"), AgentFile: filepath.Join(dir, "agent-token"), Agent: "for-agents"},
		authorities.ServerCA.Certificate, log)
	if err != nil {
		t.Fatal(err)
	}
	s.Supervisor = New(Config{
		PKI:    authorities,
		Tokens: tokens,
		Cluster: wire.Cluster{ClusterCIDR: []netip.Prefix{netip.MustParsePrefix("10.42.0.0/16")}, ServiceCIDR: []netip.Prefix{netip.MustParsePrefix("10.43.0.0/16")},
			ClusterDNS: []netip.Addr{netip.MustParseAddr("10.43.0.10")}, ClusterDomain: "cluster.local", KubeProxyOff: true},
		Own: "server",
		Client: func() kubernetes.Interface {
			if s.starting {
				return nil
			}
			return s.api
		},
		Servers: func(context.Context) []string { return []string{"https://10.0.0.1:6443"} },
		Connect: func(node string) http.Handler { return says("tunnel of " + node) },
		Rights:  rights{},
		Report: func() status.Report {
			return status.Report{Condition: status.Starting, Services: []status.Service{{State: run.State{Name: "kubelet", Phase: run.Waiting, WaitsFor: []string{"images"}}}}}
		},
		Log: log,
	})
	return s
}

func (s *site) secret() string { return s.Tokens.Server().Secret }

// addNode makes a Node object.
func (s *site) addNode(t *testing.T, name string) {
	t.Helper()
	if _, err := s.api.CoreV1().Nodes().Create(t.Context(), &core.Node{ObjectMeta: meta.ObjectMeta{Name: name}}, meta.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// do answers a request that comes from an address.
func (s *site) do(r *http.Request, from string) *httptest.ResponseRecorder {
	r.RemoteAddr = from
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

func (s *site) get(path string) *httptest.ResponseRecorder {
	return s.do(httptest.NewRequest(http.MethodGet, path, nil), elsewhere)
}

// joinWith asks with the secret of a token.
func (s *site) joinWith(secret, from string, body []byte) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, wire.PathJoin, bytes.NewReader(body))
	r.SetBasicAuth(wire.JoinUser, secret)
	return s.do(r, from)
}

// callAs asks with a client certificate.
func (s *site) callAs(cert *x509.Certificate, method, path string, body []byte) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, bytes.NewReader(body))
	r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}}
	return s.do(r, elsewhere)
}

// certOf signs a client certificate.
func certOf(t *testing.T, ca *certs.CA, key *ecdsa.PrivateKey, user string, groups ...string) *x509.Certificate {
	t.Helper()
	cert, err := ca.Sign(certs.Subject{Name: user, Groups: groups, Client: true}, key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// nodeCert is the client certificate of a node.
func (s *site) nodeCert(t *testing.T, name string, key *ecdsa.PrivateKey) *x509.Certificate {
	return certOf(t, s.PKI.ClientCA, key, "system:node:"+name, "system:nodes")
}

// record gives a node's name to a key.
func (s *site) record(t *testing.T, name string, key *ecdsa.PrivateKey) {
	t.Helper()
	fingerprint, err := nodes.Fingerprint(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	if err := nodes.Claim(t.Context(), s.api, name, fingerprint); err != nil {
		t.Fatal(err)
	}
}

// joinBody is the join request of node "pi" with a key.
func joinBody(t *testing.T, key *ecdsa.PrivateKey, change func(*wire.Join)) []byte {
	t.Helper()
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	join := wire.Join{Name: "pi", Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.9")}, PublicKey: public}
	change(&join)
	text, err := json.Marshal(join)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func asIs(*wire.Join) {}

func named(name string) func(*wire.Join) { return func(j *wire.Join) { j.Name = name } }
