package supervisor

import (
	"crypto/x509"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/skerry-io/skerry/internal/certs"
	"github.com/skerry-io/skerry/internal/wire"
)

// TestWhoMayCallWhat asks for every route as every kind of caller; those who may not must be told nothing.
func TestWhoMayCallWhat(t *testing.T) {
	s := newSite(t)
	key, stranger := newKey(t), newKey(t)
	s.record(t, "pi", key)
	strangers, err := certs.NewCA("skerry-client-ca", stranger)
	if err != nil {
		t.Fatal(err)
	}
	serving, err := s.PKI.ServerCA.Sign(certs.Subject{Name: "system:admin", Groups: []string{adminGroup, wire.NodeGroup}, Server: true}, key.Public())
	if err != nil {
		t.Fatal(err)
	}
	callers := []struct {
		name string
		cert *x509.Certificate // nil for none
		is   who
	}{
		{"nobody", nil, anyone},
		{"a node", s.nodeCert(t, "pi", key), node},
		{"an administrator", certOf(t, s.PKI.ClientCA, key, "me", adminGroup), administrator},
		{"another user", certOf(t, s.PKI.ClientCA, key, "you", "friends"), anyone},
		{"kube-proxy", certOf(t, s.PKI.ClientCA, key, "system:kube-proxy"), anyone},
		{"a node without the group", certOf(t, s.PKI.ClientCA, key, "system:node:pi"), anyone},
		{"a node without a name", certOf(t, s.PKI.ClientCA, key, "system:node:", wire.NodeGroup), anyone},
		{"the group without a node", certOf(t, s.PKI.ClientCA, key, "pi", wire.NodeGroup), anyone},
		{"a node of another cluster", certOf(t, strangers, stranger, "system:node:pi", wire.NodeGroup), anyone},
		{"an administrator of another cluster", certOf(t, strangers, stranger, "me", adminGroup), anyone},
		{"what only serves", serving, anyone},
	}
	for _, route := range s.table() {
		for _, c := range callers {
			t.Run(fmt.Sprintf("%s as %s", route.path, c.name), func(t *testing.T) {
				w := s.do(httptest.NewRequest(route.method, route.path, strings.NewReader("{}")), elsewhere)
				if c.cert != nil {
					w = s.callAs(c.cert, route.method, route.path, []byte("{}"))
				}
				refused := w.Code == http.StatusUnauthorized || w.Code == http.StatusForbidden
				if may := route.who == anyone || route.who == c.is || route.who == lateNode && c.is == node; may == refused {
					t.Errorf("%d %s", w.Code, w.Body)
				}
				if refused && (strings.Contains(w.Body.String(), "10.4") || strings.Contains(w.Body.String(), "{")) {
					t.Errorf("a refusal tells %s", w.Body)
				}
			})
		}
	}
}

func TestTheAnswersOfTheRoutes(t *testing.T) {
	s, key := newSite(t), newKey(t)
	cert := s.nodeCert(t, "pi", key)
	want(t, "ping", s.get(wire.PathPing), http.StatusOK, "pong")
	ca, err := certs.DecodeCert(s.get(wire.PathCACerts).Body.Bytes())
	if err != nil || !ca.Equal(s.PKI.ServerCA.Certificate) {
		t.Errorf("cacerts is another CA: %v", err)
	}
	want(t, "ready", s.get(wire.PathReady), http.StatusOK, "ok")
	want(t, "servers", s.callAs(cert, http.MethodGet, wire.PathServers, nil), http.StatusOK, `{"urls":["https://10.0.0.1:6443"]}`)
	forKnown := map[string]string{wire.PathConfig: `"clusterDomain":"cluster.local"`, wire.PathConnect: "tunnel of pi"}
	for path := range forKnown {
		want(t, path+" with nobody's key", s.callAs(cert, http.MethodGet, path, nil), http.StatusForbidden, "no key is recorded")
	}
	s.record(t, "pi", key)
	s.addNode(t, "pi")
	replaced := s.nodeCert(t, "pi", newKey(t))
	for path, text := range forKnown {
		want(t, path, s.callAs(cert, http.MethodGet, path, nil), http.StatusOK, text)
		want(t, path+" with another key", s.callAs(replaced, http.MethodGet, path, nil), http.StatusConflict, "pi")
	}
	s.starting = true
	for path := range forKnown {
		want(t, path+" before the API server is", s.callAs(cert, http.MethodGet, path, nil), http.StatusServiceUnavailable, "starting")
	}
	want(t, "ready before the API server is", s.get(wire.PathReady), http.StatusServiceUnavailable, "starting")
	for path, status := range map[string]int{wire.PathPrefix + "nothing": http.StatusNotFound, wire.PathJoin: http.StatusMethodNotAllowed} {
		want(t, path, s.get(path), status, "")
	}
	s.Supervisor.Connect = nil
	want(t, "no tunnels", s.callAs(cert, http.MethodGet, wire.PathConnect, nil), http.StatusNotFound, "no tunnels")
	want(t, "the own node's config", s.callAs(s.nodeCert(t, "server", newKey(t)), http.MethodGet, wire.PathConfig, nil), http.StatusOK, "")
	if len(s.own) != 1 {
		t.Error("the own node's key is not kept to be recorded")
	}
}

func TestTheTokenChanges(t *testing.T) {
	s, key := newSite(t), newKey(t)
	admin := certOf(t, s.PKI.ClientCA, key, "me", adminGroup)
	old := s.secret()
	for name, c := range map[string]struct {
		body   string
		status int
	}{"no JSON": {"x", http.StatusBadRequest}, "no secret": {"{}", http.StatusBadRequest}, "two words": {`{"secret":"a b"}`, http.StatusBadRequest},
		"too large": {strings.Repeat(" ", maxBody+1), http.StatusRequestEntityTooLarge}} {
		want(t, name, s.callAs(admin, http.MethodPut, wire.PathToken, []byte(c.body)), c.status, "")
	}
	if s.secret() != old {
		t.Fatal("the token has changed all the same")
	}
	want(t, "a new one", s.callAs(admin, http.MethodPut, wire.PathToken, []byte(`{"secret":"brand-new"}`)), http.StatusNoContent, "")
	want(t, "the old one", s.joinWith(old, elsewhere, joinBody(t, key, asIs)), http.StatusUnauthorized, "replaced")
	want(t, "the new one", s.joinWith("brand-new", elsewhere, joinBody(t, key, asIs)), http.StatusOK, "")
	if strings.Contains(s.log.String(), "brand-new") || strings.Contains(s.log.String(), old) {
		t.Error("a secret stands in the log")
	}
}

func TestOnlyAnAdministratorIsToldHowAllIs(t *testing.T) {
	s := newSite(t)
	key := newKey(t)
	admin, node := certOf(t, s.PKI.ClientCA, key, "admin", "system:masters"), s.nodeCert(t, "pi", key)
	for path, answer := range map[string]string{wire.PathReady + "?verbose": "[-]kubelet waiting for images\n", wire.PathMetrics: `skerry_service_ready{service="kubelet",phase="waiting"} 0`} {
		want(t, path+" to nobody", s.get(path), http.StatusUnauthorized, "client certificate")
		want(t, path+" to a node", s.callAs(node, http.MethodGet, path, nil), http.StatusForbidden, "may not call")
		want(t, path+" to an administrator", s.callAs(admin, http.MethodGet, path, nil), http.StatusOK, answer)
	}
	s.starting = true
	want(t, "while the API server starts", s.callAs(admin, http.MethodGet, wire.PathReady+"?verbose", nil), http.StatusServiceUnavailable, "waiting for images")
	want(t, "its metrics", s.callAs(admin, http.MethodGet, wire.PathMetrics, nil), http.StatusOK, "skerry_up 0")
}

func TestWhoAsksTooOftenIsSlowedDown(t *testing.T) {
	s := newSite(t)
	ask := func(from string) int {
		return s.do(httptest.NewRequest(http.MethodGet, wire.PathPing, nil), from).Code
	}
	began := time.Now()
	status := http.StatusOK
	for n := 0; n < 20*clientBurst && status == http.StatusOK; n++ {
		status = ask("[2001:db8::1]:1")
	}
	if status != http.StatusTooManyRequests {
		t.Fatalf("after %d requests in %s: %d", 20*clientBurst, time.Since(began), status)
	}
	for from, want := range map[string]int{"[2001:db8::2]:1": http.StatusTooManyRequests, "[2001:db8:1::1]:1": http.StatusOK, elsewhere: http.StatusOK, here: http.StatusOK} {
		if got := ask(from); got != want {
			t.Errorf("%s: %d", from, got)
		}
	}
}

func TestWhoGuessesTokensIsSlowedDown(t *testing.T) {
	s := newSite(t)
	body := joinBody(t, newKey(t), asIs)
	for range guessBurst {
		want(t, "a guess", s.joinWith("wrong", elsewhere, body), http.StatusUnauthorized, "")
	}
	want(t, "one guess too many", s.joinWith("wrong", elsewhere, body), http.StatusTooManyRequests, "wrong tokens")
	want(t, "the right one is not looked at either", s.joinWith(s.secret(), elsewhere, body), http.StatusTooManyRequests, "wrong tokens")
	want(t, "from another address", s.joinWith(s.secret(), "192.0.2.8:1", body), http.StatusOK, "")
}

func TestClientsAreForgotten(t *testing.T) {
	l := newLimits()
	for i := range maxClients + 10 {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = fmt.Sprintf("10.%d.%d.%d:1", i>>16, i>>8&255, i&255)
		if i == maxClients {
			for _, c := range l.clients {
				c.last = c.last.Add(-2 * forgetAfter)
				break
			}
		}
		l.allow(r, 1)
	}
	if len(l.clients) > maxClients {
		t.Errorf("%d clients are told apart", len(l.clients))
	}
}
