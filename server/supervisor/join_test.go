package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"

	"github.com/skerry-io/skerry/internal/certs"
	"github.com/skerry-io/skerry/internal/wire"
	"github.com/skerry-io/skerry/server/nodes"
	"github.com/skerry-io/skerry/server/token"
)

// want says that an answer has a status and a text.
func want(t *testing.T, name string, w *httptest.ResponseRecorder, status int, text string) {
	t.Helper()
	if w.Code != status || !strings.Contains(w.Body.String(), text) {
		t.Errorf("%s: %d %s; want %d %q", name, w.Code, w.Body, status, text)
	}
	if status != http.StatusOK && strings.Contains(w.Body.String(), "CERTIFICATE") {
		t.Errorf("%s: a refusal hands out a certificate", name)
	}
}

func TestNothingOfANodeWithoutTheToken(t *testing.T) {
	s := newSite(t)
	body := joinBody(t, newKey(t), asIs)
	anonymous := httptest.NewRequest(http.MethodPost, wire.PathJoin, strings.NewReader(string(body)))
	want(t, "no authentication", s.do(anonymous, elsewhere), http.StatusUnauthorized, "token")
	stranger := httptest.NewRequest(http.MethodPost, wire.PathJoin, strings.NewReader(string(body)))
	stranger.SetBasicAuth("admin", s.secret())
	want(t, "a wrong user", s.do(stranger, elsewhere), http.StatusUnauthorized, "token")
	for name, secret := range map[string]string{"a wrong secret": "wrong", "an empty secret": "", "half the secret": s.secret()[:len(s.secret())/2],
		"a short-lived token of another cluster": "abcdef.0123456789abcdef"} {
		want(t, name, s.joinWith(secret, elsewhere, body), http.StatusUnauthorized, "skerry token create")
	}
	if len(s.api.Actions()) > 1 {
		t.Errorf("strangers made us ask %v", s.api.Actions())
	}
}

func TestTokensThatLetANodeJoin(t *testing.T) {
	s := newSite(t)
	short := wire.NewBootstrap("")
	id, rest, _ := short.Bootstrap()
	kept := token.Bootstrap{ID: id, Secret: rest, Expires: time.Now().Add(time.Hour)}.Object()
	if err := s.api.Tracker().Add(kept); err != nil {
		t.Fatal(err)
	}
	for name, secret := range map[string]string{"the server token": s.secret(), "the agent token": "for-agents", "a short-lived token": short.Secret} {
		body := joinBody(t, newKey(t), named(strings.ReplaceAll(name, " ", "-")))
		want(t, name, s.joinWith(secret, elsewhere, body), http.StatusOK, "CERTIFICATE")
	}
	kept.Data["expiration"] = []byte("2026-01-02T03:04:05Z")
	if _, err := s.api.CoreV1().Secrets(kept.Namespace).Update(t.Context(), kept, meta.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	want(t, "an expired token", s.joinWith(short.Secret, elsewhere, joinBody(t, newKey(t), asIs)), http.StatusUnauthorized, "expired at 2026-01-02")
}

func TestANodeGetsWhatItNeeds(t *testing.T) {
	s := newSite(t)
	w := s.joinWith(s.secret(), elsewhere, joinBody(t, newKey(t), asIs))
	var got wire.Joined
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != http.StatusOK {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	for _, c := range []struct {
		text, name string
		ca         *certs.CA
	}{
		{got.Kubelet, "system:node:pi", s.PKI.ClientCA}, {got.KubeletServer, "pi", s.PKI.ServerCA}, {got.KubeProxy, "system:kube-proxy", s.PKI.ClientCA},
		{got.ServerCA, "skerry-server-ca", s.PKI.ServerCA}, {got.ClientCA, "skerry-client-ca", s.PKI.ClientCA},
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

func TestANameBelongsToAKey(t *testing.T) {
	s, first, second := newSite(t), newKey(t), newKey(t)
	want(t, "the first", s.joinWith(s.secret(), elsewhere, joinBody(t, first, asIs)), http.StatusOK, "")
	want(t, "another that joins at once", s.joinWith(s.secret(), elsewhere, joinBody(t, second, asIs)), http.StatusConflict, "joining right now")
	s.addNode(t, "pi")
	want(t, "another later", s.joinWith(s.secret(), elsewhere, joinBody(t, second, asIs)), http.StatusConflict, "skerry node replace pi")
	want(t, "the first again", s.joinWith(s.secret(), elsewhere, joinBody(t, first, asIs)), http.StatusOK, "")
	if err := nodes.Forget(t.Context(), s.api, "pi"); err != nil {
		t.Fatal(err)
	}
	want(t, "another that replaces it", s.joinWith(s.secret(), elsewhere, joinBody(t, second, asIs)), http.StatusOK, "")
	want(t, "the first renews", s.callAs(s.nodeCert(t, "pi", first), http.MethodPost, wire.PathCertificates, joinBody(t, first, asIs)), http.StatusConflict, "another machine")
}

func TestWhoMayHaveTheServersOwnName(t *testing.T) {
	s, key := newSite(t), newKey(t)
	own := joinBody(t, key, named("server"))
	s.starting = true
	want(t, "from elsewhere", s.joinWith(s.secret(), elsewhere, own), http.StatusConflict, "server's own")
	want(t, "with the agents' token", s.joinWith("for-agents", here, own), http.StatusConflict, "server's own")
	want(t, "the node of this process, while the API server starts", s.joinWith(s.secret(), here, own), http.StatusOK, "CERTIFICATE")
	want(t, "another node on this machine waits", s.joinWith(s.secret(), here, joinBody(t, key, asIs)), http.StatusServiceUnavailable, "starting")
	want(t, "a name of the API server", s.joinWith(s.secret(), elsewhere, joinBody(t, key, named("kubernetes"))), http.StatusConflict, "API server")

	fingerprint, err := nodes.Fingerprint(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	s.starting = false
	if err := s.claimOwn(t.Context(), <-s.own); err != nil {
		t.Fatal(err)
	}
	if known, err := nodes.Check(t.Context(), s.api, "server", fingerprint); !known || err != nil {
		t.Errorf("its key is not recorded: %t, %v", known, err)
	}
	s.addNode(t, "server")
	if err := s.claimOwn(t.Context(), "another key"); err != nil || !strings.Contains(s.log.String(), "skerry node replace server") {
		t.Errorf("a conflict ends with %v and tells %s", err, &s.log)
	}
}

func TestTheOwnNodesKeyIsRecordedWhenTheAPIServerAnswers(t *testing.T) {
	s := newSite(t)
	want(t, "join", s.joinWith(s.secret(), here, joinBody(t, newKey(t), named("server"))), http.StatusOK, "")
	s.remember("the newest")
	ended := make(chan error, 1)
	ctx, stop := context.WithCancel(t.Context())
	go func() { ended <- s.RecordOwn(ctx, func() {}) }()
	for known := false; !known; {
		known, _ = nodes.Check(t.Context(), s.api, "server", "the newest")
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestANodeCannotServeAsTheAPIServer(t *testing.T) {
	s := newSite(t)
	s.Connect = nil // no tunnels: what such a node cannot do is told
	body := joinBody(t, newKey(t), func(j *wire.Join) {
		j.Addresses = []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.9"), netip.MustParseAddr("127.0.0.1")}
	})
	var got wire.Joined
	if err := json.Unmarshal(s.joinWith(s.secret(), elsewhere, body).Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	cert, err := certs.DecodeCert([]byte(got.KubeletServer))
	if err != nil {
		t.Fatal(err)
	}
	for name, good := range map[string]bool{"10.0.0.9": true, "127.0.0.1": true, "localhost": true, "pi": true, "10.0.0.1": false, "kubernetes": false} {
		if (cert.VerifyHostname(name) == nil) != good {
			t.Errorf("%s: %t", name, !good)
		}
	}
	if !strings.Contains(s.log.String(), "node-ip") {
		t.Errorf("nobody is told: %s", &s.log)
	}
}

func TestThroughATunnelANodeMayHaveAnAddressOfTheServer(t *testing.T) {
	s := newSite(t)
	body := joinBody(t, newKey(t), func(j *wire.Join) { j.Addresses = []netip.Addr{netip.MustParseAddr("10.0.0.1")} })
	if answer := s.joinWith(s.secret(), elsewhere, body); answer.Code != http.StatusOK || strings.Contains(s.log.String(), "node-ip") {
		t.Errorf("%d, and the log says %s", answer.Code, &s.log)
	}
}

func TestAJoinRequestOfNoUse(t *testing.T) {
	s, key := newSite(t), newKey(t)
	for name, c := range map[string]struct {
		body   []byte
		status int
		want   string
	}{
		"nothing":                  {nil, http.StatusBadRequest, "not what this route takes"},
		"no JSON":                  {[]byte("hello"), http.StatusBadRequest, "not what this route takes"},
		"two of them":              {append(joinBody(t, key, asIs), joinBody(t, key, asIs)...), http.StatusBadRequest, "not what this route takes"},
		"too large":                {joinBody(t, key, named(strings.Repeat("x", maxBody))), http.StatusRequestEntityTooLarge, "larger than"},
		"no name":                  {joinBody(t, key, named("")), http.StatusBadRequest, "name of a node"},
		"a name for other rights":  {joinBody(t, key, named("a,O=system:masters")), http.StatusBadRequest, "name of a node"},
		"a name that is a pattern": {joinBody(t, key, named("*.cluster.local")), http.StatusBadRequest, "name of a node"},
		"a name that is too long":  {joinBody(t, key, named(strings.Repeat("abcdefg.", 31)+"abcdefg")), http.StatusBadRequest, "name of a node"},
		"an empty address":         {joinBody(t, key, func(j *wire.Join) { j.Addresses = []netip.Addr{{}} }), http.StatusBadRequest, "address"},
		"any address":              {joinBody(t, key, func(j *wire.Join) { j.Addresses = []netip.Addr{netip.IPv6Unspecified()} }), http.StatusBadRequest, "address"},
		"too many addresses":       {joinBody(t, key, func(j *wire.Join) { j.Addresses = make([]netip.Addr, maxAddresses+1) }), http.StatusBadRequest, "address"},
		"no key":                   {joinBody(t, key, func(j *wire.Join) { j.PublicKey = nil }), http.StatusBadRequest, "public key"},
		"half a key":               {joinBody(t, key, func(j *wire.Join) { j.PublicKey = j.PublicKey[:20] }), http.StatusBadRequest, "public key"},
	} {
		want(t, name, s.joinWith(s.secret(), elsewhere, c.body), c.status, c.want)
	}
	if len(s.api.Actions()) > 0 {
		t.Errorf("the API was asked %v", s.api.Actions())
	}
}

func TestCertificatesAreForTheNodesOwnNameAndKey(t *testing.T) {
	s, key, other := newSite(t), newKey(t), newKey(t)
	for _, name := range []string{"pi", "attic"} {
		k := key
		if name == "attic" {
			k = other
		}
		want(t, name, s.joinWith(s.secret(), elsewhere, joinBody(t, k, named(name))), http.StatusOK, "")
		s.addNode(t, name)
	}
	cert := s.nodeCert(t, "pi", key)
	for name, c := range map[string]struct {
		body   []byte
		status int
		want   string
	}{
		"its own":                               {joinBody(t, key, asIs), http.StatusOK, "CERTIFICATE"},
		"with new addresses":                    {joinBody(t, key, func(j *wire.Join) { j.Addresses = []netip.Addr{netip.MustParseAddr("10.0.0.77")} }), http.StatusOK, "CERTIFICATE"},
		"another node's request, replayed":      {joinBody(t, other, named("attic")), http.StatusForbidden, "cannot ask"},
		"another node's name, with its own key": {joinBody(t, key, named("attic")), http.StatusForbidden, "cannot ask"},
		"its own name, with another key":        {joinBody(t, other, asIs), http.StatusForbidden, "public key"},
		"the server's name":                     {joinBody(t, key, named("server")), http.StatusForbidden, "cannot ask"},
		"garbage":                               {[]byte("\x16\x03\x01"), http.StatusBadRequest, "not what this route takes"},
		"too large":                             {[]byte(strings.Repeat(" ", maxBody+1)), http.StatusRequestEntityTooLarge, "larger than"},
	} {
		want(t, name, s.callAs(cert, http.MethodPost, wire.PathCertificates, c.body), c.status, c.want)
	}
	third := newKey(t)
	want(t, "a key that is not recorded", s.callAs(s.nodeCert(t, "new", third), http.MethodPost, wire.PathCertificates, joinBody(t, third, named("new"))),
		http.StatusForbidden, "with a token")
	want(t, "the own node, which needs no API server", s.callAs(s.nodeCert(t, "server", third), http.MethodPost, wire.PathCertificates, joinBody(t, third, named("server"))),
		http.StatusOK, "CERTIFICATE")
	s.starting = true
	want(t, "while the API server starts", s.callAs(cert, http.MethodPost, wire.PathCertificates, joinBody(t, key, asIs)), http.StatusServiceUnavailable, "starting")
}

func TestAnAPIThatFailsIsToldToTheLogOnly(t *testing.T) {
	s := newSite(t)
	s.api.PrependReactor("*", "*", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, errors.New("etcd is away") })
	w := s.joinWith(s.secret(), elsewhere, joinBody(t, newKey(t), asIs))
	want(t, "join", w, http.StatusServiceUnavailable, "log")
	if strings.Contains(w.Body.String(), "etcd") || !strings.Contains(s.log.String(), "etcd is away") || w.Header().Get("Retry-After") == "" {
		t.Errorf("told %s, logged %s", w.Body, &s.log)
	}
}
