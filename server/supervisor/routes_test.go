package supervisor

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/skerry-io/skerry/internal/certs"
	"github.com/skerry-io/skerry/internal/wire"
	"github.com/skerry-io/skerry/server/pki"
)

// site is a server's routes with what they were made of.
type site struct {
	routes http.Handler
	pki    *pki.PKI
	secret string
	ready  bool
	log    bytes.Buffer
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{}
	log := slog.New(slog.NewTextHandler(&s.log, nil))
	var err error
	if s.pki, err = pki.Open(t.TempDir(), pki.Names{}, log); err != nil {
		t.Fatal(err)
	}
	secret := wire.NewToken(s.pki.ServerCA.Certificate)
	s.secret = secret.Secret
	cluster := wire.Cluster{ClusterCIDR: []netip.Prefix{netip.MustParsePrefix("10.42.0.0/16")}, ServiceCIDR: []netip.Prefix{netip.MustParsePrefix("10.43.0.0/16")},
		ClusterDNS: []netip.Addr{netip.MustParseAddr("10.43.0.10")}, ClusterDomain: "cluster.local", KubeProxyOff: true}
	s.routes = Routes(s.pki, secret, cluster, func() bool { return s.ready }, log)
	return s
}

func (s *site) do(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.routes.ServeHTTP(w, r)
	return w
}

func (s *site) get(path string) *httptest.ResponseRecorder {
	return s.do(httptest.NewRequest(http.MethodGet, path, nil))
}

// joinAs asks with a name and secret in the basic authentication.
func (s *site) joinAs(user, secret string, body []byte) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, wire.PathJoin, bytes.NewReader(body))
	r.SetBasicAuth(user, secret)
	return s.do(r)
}

func joinBody(t *testing.T, change func(*wire.Join)) []byte {
	t.Helper()
	public, err := x509.MarshalPKIXPublicKey(newKey(t).Public())
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

func TestWhatIsOpenToAll(t *testing.T) {
	s := newSite(t)
	if w := s.get(wire.PathPing); w.Code != http.StatusOK || w.Body.String() != "pong\n" {
		t.Errorf("ping: %d %q", w.Code, w.Body)
	}
	ca, err := certs.DecodeCert(s.get(wire.PathCACerts).Body.Bytes())
	if err != nil || !ca.Equal(s.pki.ServerCA.Certificate) {
		t.Errorf("cacerts is another CA: %v", err)
	}
	if w := s.get(wire.PathReady); w.Code != http.StatusServiceUnavailable {
		t.Errorf("ready before the API server is: %d", w.Code)
	}
	s.ready = true
	if w := s.get(wire.PathReady); w.Code != http.StatusOK {
		t.Errorf("not ready: %d", w.Code)
	}
	for path, want := range map[string]int{wire.PathPrefix + "nothing": http.StatusNotFound, wire.PathJoin: http.StatusMethodNotAllowed} {
		if w := s.get(path); w.Code != want {
			t.Errorf("GET %s: %d", path, w.Code)
		}
	}
}

func TestNothingOfANodeWithoutTheToken(t *testing.T) {
	s := newSite(t)
	body := joinBody(t, asIs)
	for name, w := range map[string]*httptest.ResponseRecorder{
		"no authentication": s.do(httptest.NewRequest(http.MethodPost, wire.PathJoin, bytes.NewReader(body))),
		"a wrong secret":    s.joinAs(wire.JoinUser, "wrong", body),
		"an empty secret":   s.joinAs(wire.JoinUser, "", body),
		"a wrong user":      s.joinAs("admin", s.secret, body),
		"half the secret":   s.joinAs(wire.JoinUser, s.secret[:len(s.secret)/2], body),
	} {
		if w.Code != http.StatusUnauthorized || !strings.Contains(w.Body.String(), "token") || strings.Contains(w.Body.String(), "CERTIFICATE") {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}

func TestANodeGetsWhatItNeeds(t *testing.T) {
	s := newSite(t)
	w := s.joinAs(wire.JoinUser, s.secret, joinBody(t, asIs))
	var got wire.Joined
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != http.StatusOK {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	for _, c := range []struct {
		text, name string
		ca         *certs.CA
	}{
		{got.Kubelet, "system:node:pi", s.pki.ClientCA}, {got.KubeletServer, "pi", s.pki.ServerCA}, {got.KubeProxy, "system:kube-proxy", s.pki.ClientCA},
		{got.ServerCA, "skerry-server-ca", s.pki.ServerCA}, {got.ClientCA, "skerry-client-ca", s.pki.ClientCA},
	} {
		cert, err := certs.DecodeCert([]byte(c.text))
		if err != nil {
			t.Fatal(err)
		}
		if err := cert.CheckSignatureFrom(c.ca.Certificate); err != nil || cert.Subject.CommonName != c.name {
			t.Errorf("got %s, %v; want %s", cert.Subject, err, c.name)
		}
	}
	if got.ClusterCIDR[0].String() != "10.42.0.0/16" || got.ServiceCIDR[0].String() != "10.43.0.0/16" || got.ClusterDNS[0].String() != "10.43.0.10" ||
		got.ClusterDomain != "cluster.local" || !got.KubeProxyOff {
		t.Errorf("the cluster is not told: %+v", got)
	}
	if strings.Contains(w.Body.String(), "PRIVATE KEY") {
		t.Error("a key is handed out")
	}
	if !strings.Contains(s.log.String(), "node=pi") {
		t.Errorf("nothing is logged: %s", &s.log)
	}
}

func TestAJoinRequestOfNoUse(t *testing.T) {
	s := newSite(t)
	for name, c := range map[string]struct {
		body   []byte
		status int
		want   string
	}{
		"nothing":                  {nil, http.StatusBadRequest, "not a join request"},
		"no JSON":                  {[]byte("hello"), http.StatusBadRequest, "not a join request"},
		"too large":                {joinBody(t, func(j *wire.Join) { j.Name = strings.Repeat("x", maxBody) }), http.StatusRequestEntityTooLarge, "larger than"},
		"no name":                  {joinBody(t, func(j *wire.Join) { j.Name = "" }), http.StatusBadRequest, "name of a node"},
		"a name for other rights":  {joinBody(t, func(j *wire.Join) { j.Name = "a,O=system:masters" }), http.StatusBadRequest, "name of a node"},
		"a name that is a pattern": {joinBody(t, func(j *wire.Join) { j.Name = "*.cluster.local" }), http.StatusBadRequest, "name of a node"},
		"an empty address":         {joinBody(t, func(j *wire.Join) { j.Addresses = []netip.Addr{{}} }), http.StatusBadRequest, "address"},
		"no key":                   {joinBody(t, func(j *wire.Join) { j.PublicKey = nil }), http.StatusBadRequest, "public key"},
		"half a key":               {joinBody(t, func(j *wire.Join) { j.PublicKey = j.PublicKey[:20] }), http.StatusBadRequest, "public key"},
	} {
		w := s.joinAs(wire.JoinUser, s.secret, c.body)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}
