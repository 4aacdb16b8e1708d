package endpoint

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skerry-io/skerry/internal/certs"
	"github.com/skerry-io/skerry/tests/certtest"
)

// over gives a client certificate for a key, one that was good until yesterday.
func over(t *testing.T, ca *certs.CA, key *ecdsa.PrivateKey, user string) tls.Certificate {
	t.Helper()
	cert, err := ca.Sign(client(user), key.Public())
	if err != nil {
		t.Fatal(err)
	}
	cert.NotAfter = time.Now().Add(-24 * time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, cert, ca.Certificate, key.Public(), ca.Key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestTheNodesOwnCertificatesCountHereAlsoWhenTheyAreOver(t *testing.T) {
	c := newCluster(t)
	own, ok := c.serving.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		t.Fatal("the node has no key")
	}
	stolen, err := certs.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	upstream := freeAddress(t)
	c.serve(t, upstream, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) })
	at, _ := c.endpoint(t, upstream, time.Second)
	for name, test := range map[string]struct {
		cert tls.Certificate
		good bool
	}{
		"of this node's key":         {over(t, c.clientCA, own, kubelet), true},
		"of another key":             {over(t, c.clientCA, stolen, kubelet), false},
		"of its key, self-made":      {over(t, certtest.CA(t, "client-ca"), own, kubelet), false},
		"its key, to serve only":     {c.serving, false},
		"one that counts":            {c.clients[kubelet], true},
		"one of another, by its key": {over(t, c.clientCA, own, "system:node:other"), false},
	} {
		answer, err := c.caller(t, test.cert).Get("https://" + at + "/api")
		good := err == nil && answer.StatusCode == http.StatusOK
		if err == nil {
			_ = answer.Body.Close()
		}
		if good != test.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNoServerIsInReachOfANodeWhoseCertificatesAreOver(t *testing.T) {
	c := newCluster(t)
	m := c.machine(t, "one", sayName)
	var counts atomic.Bool
	p, err := newPool(c, newList(m.url), patient, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	p.meanwhile, p.counts = newAbsence(true, nil, slog.New(slog.DiscardHandler)), counts.Load
	p.firstLook(t.Context())
	if _, _, away := p.Away(); !away {
		t.Error("a server that will not listen counts as in reach")
	}
	p.lookAgain(t.Context())
	_, back, away := p.Away()
	if !away {
		t.Error("it does so later")
	}
	counts.Store(true)
	p.lookAgain(t.Context())
	select {
	case <-back:
	default:
		t.Error("with new certificates it is still away")
	}
}
