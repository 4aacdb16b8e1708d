package supervisor

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-io/skerry/internal/certs"
	"github.com/skerry-io/skerry/internal/wire"
	"github.com/skerry-io/skerry/server/nodes"
)

// over is a client certificate of a node that was good until yesterday.
func over(t *testing.T, ca *certs.CA, name string, key *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	cert := certOf(t, ca, key, "system:node:"+name, "system:nodes")
	cert.NotAfter = time.Now().Add(-24 * time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, cert, ca.Certificate, key.Public(), ca.Key)
	if err != nil {
		t.Fatal(err)
	}
	if cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return cert
}

func (s *site) renewAs(t *testing.T, cert *x509.Certificate, key *ecdsa.PrivateKey) *httptest.ResponseRecorder {
	t.Helper()
	return s.callAs(cert, http.MethodPost, wire.PathCertificates, joinBody(t, key, asIs))
}

func TestANodeWhoseCertificateIsOverRenewsItWithItsKey(t *testing.T) {
	s, key := newSite(t), newKey(t)
	s.record(t, "pi", key)
	s.addNode(t, "pi")
	late := over(t, s.PKI.ClientCA, "pi", key)
	want(t, "late", s.renewAs(t, late, key), http.StatusOK, "CERTIFICATE")
	for _, path := range []string{wire.PathConfig, wire.PathServers, wire.PathConnect} {
		want(t, path+" is for nodes whose certificates count", s.callAs(late, http.MethodGet, path, nil), http.StatusUnauthorized, "is over")
	}
	want(t, "for another key", s.renewAs(t, late, newKey(t)), http.StatusForbidden, "public key")
	want(t, "for another name", s.callAs(late, http.MethodPost, wire.PathCertificates, joinBody(t, key, named("attic"))), http.StatusForbidden, "cannot ask")
	s.starting = true
	want(t, "while the API server starts", s.renewAs(t, late, key), http.StatusServiceUnavailable, "starting")
}

func TestANodeThatWasGivenUpStaysOutOnceItsCertificateIsOver(t *testing.T) {
	for name, c := range map[string]struct {
		change func(t *testing.T, s *site)
		status int
		says   string
	}{
		"replaced by another machine": {func(t *testing.T, s *site) {
			if err := nodes.Forget(t.Context(), s.api, "pi"); err != nil {
				t.Fatal(err)
			}
			s.record(t, "pi", newKey(t))
		}, http.StatusConflict, "skerry node replace pi"},
		"its key was forgotten": {func(t *testing.T, s *site) {
			if err := nodes.Forget(t.Context(), s.api, "pi"); err != nil {
				t.Fatal(err)
			}
		}, http.StatusForbidden, "with a token"},
		"its Node was deleted": {func(t *testing.T, s *site) {
			if err := s.api.CoreV1().Nodes().Delete(t.Context(), "pi", meta.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
		}, http.StatusForbidden, "with a token"},
	} {
		s, key := newSite(t), newKey(t)
		s.record(t, "pi", key)
		s.addNode(t, "pi")
		c.change(t, s)
		late := over(t, s.PKI.ClientCA, "pi", key)
		want(t, name, s.renewAs(t, late, key), c.status, c.says)
		if !strings.Contains(s.log.String(), "is refused") {
			t.Errorf("%s: nobody is told: %s", name, &s.log)
		}
		for range guessBurst {
			s.renewAs(t, late, key)
		}
		want(t, name+", and it goes on asking", s.renewAs(t, late, key), http.StatusTooManyRequests, "refused certificates")
		want(t, name+", and another one joins from the same address", s.joinWith(s.secret(), elsewhere, joinBody(t, newKey(t), named("attic"))), http.StatusOK, "CERTIFICATE")
	}
}

func TestStrangersAllHearTheSame(t *testing.T) {
	s, key := newSite(t), newKey(t)
	s.record(t, "pi", key)
	if _, err := s.api.CoreV1().Nodes().Create(t.Context(), &core.Node{ObjectMeta: meta.ObjectMeta{Name: "pi"}}, meta.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	strange, err := certs.NewCA("skerry-client-ca", newKey(t)) // of the same name
	if err != nil {
		t.Fatal(err)
	}
	s.api.ClearActions()
	said := map[string]bool{}
	for _, cert := range []*x509.Certificate{
		over(t, strange, "pi", key), over(t, strange, "nobody", newKey(t)),
		certOf(t, strange, key, "system:node:pi", "system:nodes"), certOf(t, strange, newKey(t), "someone"),
		certOf(t, s.PKI.ServerCA, key, "system:node:pi", "system:nodes"),
	} {
		w := s.callAs(cert, http.MethodPost, wire.PathCertificates, joinBody(t, key, asIs))
		want(t, cert.Subject.String(), w, http.StatusUnauthorized, "not one of this cluster")
		said[w.Body.String()] = true
	}
	if len(said) != 1 {
		t.Errorf("they hear %v", said)
	}
	if asked := s.api.Actions(); len(asked) > 0 {
		t.Errorf("for them the API is asked %v", asked)
	}
}

func TestTheOwnNodeDoesNotComeBackByItsKey(t *testing.T) {
	s, key := newSite(t), newKey(t)
	w := s.callAs(over(t, s.PKI.ClientCA, "server", key), http.MethodPost, wire.PathCertificates, joinBody(t, key, named("server")))
	want(t, "its certificate is over", w, http.StatusForbidden, "token")
}

func TestCertificatesOfNodesLiveAsLongAsTheSettingSays(t *testing.T) {
	s, key := newSite(t), newKey(t)
	s.PKI.NodeLife = time.Hour
	kubelet, serving, proxy, err := s.PKI.NodeCerts("pi", nil, key.Public())
	if err != nil {
		t.Fatal(err)
	}
	for _, cert := range []*x509.Certificate{kubelet, serving, proxy} {
		if left := time.Until(cert.NotAfter); left > time.Hour || left < 50*time.Minute {
			t.Errorf("%s is good for %s", cert.Subject, left)
		}
	}
}
