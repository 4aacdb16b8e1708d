package identity

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skerry-io/skerry/internal/certs"
	"github.com/skerry-io/skerry/internal/wire"
	"github.com/skerry-io/skerry/tests/certtest"
)

// fakeServer says what a server would say.
type fakeServer struct {
	*httptest.Server
	serverCA, clientCA *certs.CA
	token              wire.Token
	told               *certs.CA    // what it calls its CA; its own if nil
	answer             http.Handler // of a join request that has the secret; a good one if nil
	renewal            http.Handler // of a request with a client certificate; a good one if nil
	expires            time.Time    // of its serving certificate; far away if zero

	mu      sync.Mutex // guards what follows
	secrets []string   // that were sent to it
	asks    []wire.Join
	paths   []string // that were asked for
	domain  string   // of the cluster
	life    time.Duration
	over    func(*http.Request) bool // says that a certificate is over by the server's clock; nil for none
}

// newFake starts a server whose certificate is good for names.
func newFake(t *testing.T, change func(*fakeServer), names ...string) *fakeServer {
	t.Helper()
	f := &fakeServer{serverCA: certtest.CA(t, "server-ca"), clientCA: certtest.CA(t, "client-ca"), domain: "cluster.local"}
	f.token = wire.NewToken(f.serverCA.Certificate)
	change(f)
	key, err := certs.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	subject := certs.Subject{Name: "server", DNS: names, Server: true}
	if len(names) == 0 {
		subject.IPs = []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	}
	cert, err := f.serverCA.Sign(subject, key.Public())
	if err != nil {
		t.Fatal(err)
	}
	if !f.expires.IsZero() {
		cert = again(t, cert, f.serverCA, f.expires)
	}
	f.Server = httptest.NewUnstartedServer(f)
	f.Config.ErrorLog = log.New(io.Discard, "", 0)
	f.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}}, ClientAuth: tls.RequestClientCert}
	f.StartTLS()
	t.Cleanup(f.Close)
	return f
}

func (f *fakeServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if _, secret, sent := r.BasicAuth(); sent {
		f.mu.Lock()
		f.secrets = append(f.secrets, secret)
		f.mu.Unlock()
	}
	f.mu.Lock()
	f.paths = append(f.paths, r.URL.Path)
	f.mu.Unlock()
	switch r.URL.Path {
	case wire.PathConfig, wire.PathCertificates:
		f.known(w, r)
	case wire.PathCACerts:
		ca := f.told
		if ca == nil {
			ca = f.serverCA
		}
		_, _ = w.Write(certs.EncodeCert(ca.Certificate))
	case wire.PathJoin:
		user, secret, _ := r.BasicAuth()
		switch {
		case user != wire.JoinUser || secret != f.token.Secret:
			http.Error(w, "no", http.StatusUnauthorized)
		case f.answer != nil:
			f.answer.ServeHTTP(w, r)
		default:
			f.join(w, r)
		}
	default:
		http.NotFound(w, r)
	}
}

// known answers who has a client certificate of a node.
func (f *fakeServer) known(w http.ResponseWriter, r *http.Request) {
	peers := r.TLS.PeerCertificates
	switch {
	case len(peers) == 0 || peers[0].CheckSignatureFrom(f.clientCA.Certificate) != nil || !strings.HasPrefix(peers[0].Subject.CommonName, "system:node:"):
		http.Error(w, "not one of ours", http.StatusUnauthorized)
	case f.over != nil && f.over(r) && r.URL.Path != wire.PathCertificates:
		http.Error(w, "the client certificate is over", http.StatusUnauthorized)
	case f.renewal != nil:
		f.renewal.ServeHTTP(w, r)
	case r.URL.Path == wire.PathCertificates:
		f.join(w, r)
	default:
		_ = json.NewEncoder(w).Encode(f.cluster())
	}
}

func (f *fakeServer) cluster() wire.Cluster {
	f.mu.Lock()
	defer f.mu.Unlock()
	return wire.Cluster{ClusterDomain: f.domain, CertificateLife: f.life}
}

func (f *fakeServer) setLife(life time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.life = life
}

func (f *fakeServer) setDomain(domain string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.domain = domain
}

// asked says how often a path was asked for.
func (f *fakeServer) asked(path string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(slices.DeleteFunc(slices.Clone(f.paths), func(p string) bool { return p != path }))
}

// again signs a certificate again, with another end.
func again(t *testing.T, cert *x509.Certificate, ca *certs.CA, end time.Time) *x509.Certificate {
	t.Helper()
	template := *cert
	template.NotAfter = end
	der, err := x509.CreateCertificate(rand.Reader, &template, ca.Certificate, cert.PublicKey, ca.Key)
	if err != nil {
		t.Fatal(err)
	}
	if cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return cert
}

func (f *fakeServer) join(w http.ResponseWriter, r *http.Request) {
	var ask wire.Join
	if err := json.NewDecoder(r.Body).Decode(&ask); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	f.mu.Lock()
	f.asks = append(f.asks, ask)
	f.mu.Unlock()
	public, err := x509.ParsePKIXPublicKey(ask.PublicKey)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	sign := func(ca *certs.CA, s certs.Subject) string {
		cert, err := ca.SignFor(f.cluster().CertificateLife, s, public)
		if err != nil {
			return ""
		}
		return string(certs.EncodeCert(cert))
	}
	_ = json.NewEncoder(w).Encode(wire.Joined{
		ServerCA:      string(certs.EncodeCert(f.serverCA.Certificate)),
		ClientCA:      string(certs.EncodeCert(f.clientCA.Certificate)),
		Kubelet:       sign(f.clientCA, certs.Subject{Name: "system:node:" + ask.Name, Groups: []string{"system:nodes"}, Client: true}),
		KubeletServer: sign(f.serverCA, certs.Subject{Name: ask.Name, IPs: append(ask.Addresses, netip.MustParseAddr("127.0.0.1")), Server: true}),
		KubeProxy:     sign(f.clientCA, certs.Subject{Name: "system:kube-proxy", Client: true}),
		Cluster:       f.cluster(),
	})
}

// sent gives the secrets that were sent to the server.
func (f *fakeServer) sent() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.secrets
}

func joinBody(t *testing.T, ask wire.Join) io.ReadCloser {
	text, err := json.Marshal(ask)
	if err != nil {
		t.Error(err)
	}
	return io.NopCloser(bytes.NewReader(text))
}
