package identity

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/skerry-io/skerry/internal/certs"
	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/wire"
	"github.com/skerry-io/skerry/tests/certtest"
)

func nodeOf(dir, server string, token wire.Token, log *slog.Logger) *Node {
	return New(Config{Dir: dir, Server: server, Endpoint: "https://127.0.0.1:6444", Name: "pi", Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.9")},
		Token: func() (wire.Token, error) { return token, nil }}, log)
}

// join runs a node until it is ready, or gives the error it ends with.
func join(t *testing.T, n *Node) error {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	ready := false
	err := n.Run(ctx, func() { ready = true; stop() })
	if err == nil && !ready {
		return errors.New("not ready in time")
	}
	return err
}

func plain(*fakeServer) {}

func TestJoin(t *testing.T) {
	f, dir := newFake(t, plain), t.TempDir()
	n := nodeOf(dir, f.URL+"/", f.token, slog.New(slog.DiscardHandler))
	if err := join(t, n); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(f.sent(), []string{f.token.Secret}) {
		t.Errorf("the secrets %q were sent", f.sent())
	}
	if ask := f.asks[0]; ask.Name != "pi" || ask.Addresses[0].String() != "10.0.0.9" {
		t.Errorf("the node calls itself %+v", ask)
	}
	clients, err := n.Clients()
	if err != nil {
		t.Fatal(err)
	}
	for user, pair := range clients {
		if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: n.ClientCA(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil || pair.Leaf.Subject.CommonName != user {
			t.Errorf("%s: %s, %v", user, pair.Leaf.Subject, err)
		}
	}
	if len(clients) != 2 || clients["system:node:pi"].Leaf == nil || clients["system:kube-proxy"].Leaf == nil {
		t.Errorf("the clients are %v", clients)
	}
	serving, err := n.Serving()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := serving.Leaf.Verify(x509.VerifyOptions{Roots: n.ServerCA(), DNSName: "10.0.0.9"}); err != nil {
		t.Error(err)
	}
	if n.Name() != "pi" || n.Cluster().ClusterDomain != "cluster.local" {
		t.Errorf("got %s and %+v", n.Name(), n.Cluster())
	}
}

// What is on disk must work without what is in memory: the kubelet and kube-proxy read files.
func TestTheFilesOfANode(t *testing.T) {
	f, dir := newFake(t, plain), t.TempDir()
	n := nodeOf(dir, f.URL, f.token, slog.New(slog.DiscardHandler))
	if err := join(t, n); err != nil {
		t.Fatal(err)
	}
	for path, user := range map[string]string{n.KubeletConfig(): "system:node:pi", n.KubeProxyConfig(): "system:kube-proxy"} {
		config, err := clientcmd.BuildConfigFromFlags("", path)
		if err != nil {
			t.Fatal(err)
		}
		pair, err := tls.LoadX509KeyPair(config.CertFile, config.KeyFile)
		if err != nil {
			t.Fatal(err)
		}
		if pair.Leaf.Subject.CommonName != user || config.Host != "https://127.0.0.1:6444" {
			t.Errorf("%s is %s at %s", path, pair.Leaf.Subject, config.Host)
		}
		if text, err := os.ReadFile(config.CAFile); err != nil || !bytes.HasPrefix(text, certs.EncodeCert(f.serverCA.Certificate)) {
			t.Errorf("%s trusts another CA: %v", path, err)
		}
	}
	if _, err := tls.LoadX509KeyPair(n.ServingCertFile(), n.KeyFile()); err != nil {
		t.Error(err)
	}
	if text, err := os.ReadFile(n.ClientCAFile()); err != nil || !bytes.Equal(text, certs.EncodeCert(f.clientCA.Certificate)) {
		t.Errorf("the clients' CA is another: %v", err)
	}
	for _, path := range []string{n.KeyFile(), n.KubeletConfig(), n.KubeProxyConfig()} {
		if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: mode %v, %v", path, info.Mode(), err)
		}
	}
}

func TestTheKeyOutlivesARestart(t *testing.T) {
	f, dir := newFake(t, plain), t.TempDir()
	for range 2 {
		if err := join(t, nodeOf(dir, f.URL, f.token, slog.New(slog.DiscardHandler))); err != nil {
			t.Fatal(err)
		}
	}
	if f.asked(wire.PathJoin) != 1 {
		t.Errorf("the node joined %d times", f.asked(wire.PathJoin))
	}
}

func TestADamagedKeyIsAnErrorWithACure(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "node.key"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := join(t, nodeOf(dir, "https://127.0.0.1:1", wire.Token{}, slog.New(slog.DiscardHandler)))
	var told *fault.Fault
	if !errors.As(err, &told) || !strings.Contains(told.Cure(), "remove "+filepath.Join(dir, "node.key")) {
		t.Errorf("got %v", err)
	}
}

func answers(status int, body string) func(*fakeServer) {
	return func(f *fakeServer) {
		f.answer = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, body, status) })
	}
}

func TestAServerThatRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*fakeServer)
		token  func(wire.Token) wire.Token
		want   string
		cure   string
	}{
		"the secret is wrong": {plain, func(t wire.Token) wire.Token { t.Secret = "wrong"; return t }, "refused this node: 401 Unauthorized: no", "server"},
		"it says why":         {answers(http.StatusConflict, "taken; to cure: run `skerry node replace pi`"), asItIs, "409 Conflict: taken", "run `skerry node replace pi`"},
		"the server says no":  {answers(http.StatusBadRequest, "\"pi\" is taken"), asItIs, "refused this node: 400 Bad Request: \"pi\" is taken", "name"},
		"no word of Skerry":   {answers(http.StatusNotFound, "<html>\n<h1>nginx"), asItIs, "404 Not Found: <html>", "Skerry server"},
		"nothing said":        {answers(http.StatusForbidden, ""), asItIs, "403 Forbidden", "Skerry server"},
		"led elsewhere": {func(f *fakeServer) {
			f.answer = http.RedirectHandler("https://192.0.2.1/", http.StatusTemporaryRedirect)
		}, asItIs,
			"307 Temporary Redirect", "Skerry server"},
	} {
		f, dir := newFake(t, c.change), t.TempDir()
		err := join(t, nodeOf(dir, f.URL, c.token(f.token), slog.New(slog.DiscardHandler)))
		var told *fault.Fault
		if !errors.As(err, &told) || !strings.Contains(err.Error(), c.want) || !strings.Contains(told.Cure(), c.cure) {
			t.Errorf("%s: got %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), f.token.Secret) {
			t.Errorf("%s: the error shows the secret", name)
		}
		wantOnlyTheKey(t, name, dir)
	}
}

// wantOnlyTheKey says that a refusal leaves nothing of a node but its key.
func wantOnlyTheKey(t *testing.T, name, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || entries[0].Name() != "node.key" {
		t.Errorf("%s: it leaves %v, %v", name, entries, err)
	}
}

func asItIs(t wire.Token) wire.Token { return t }

func TestTheSecretIsOnlyToldToTheTokensOwnServer(t *testing.T) {
	genuine := certtest.CA(t, "genuine")
	f, dir := newFake(t, plain), t.TempDir()
	err := join(t, nodeOf(dir, f.URL, wire.NewToken(genuine.Certificate), slog.New(slog.DiscardHandler)))
	var told *fault.Fault
	if !errors.As(err, &told) || !strings.Contains(err.Error(), "not the one this token was made by") || told.Cure() == "" {
		t.Errorf("a stranger: got %v", err)
	}
	if len(f.sent()) > 0 {
		t.Errorf("a stranger was sent %q", f.sent())
	}
	wantOnlyTheKey(t, "a stranger", dir)

	// The genuine CA's certificate is open to all: a stranger can show it, but not answer for it.
	f = newFake(t, func(f *fakeServer) { f.told = genuine })
	ctx, stop := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer stop()
	if err := nodeOf(t.TempDir(), f.URL, wire.NewToken(genuine.Certificate), slog.New(slog.DiscardHandler)).Run(ctx, func() { t.Error("joined a stranger") }); err != nil {
		t.Error(err)
	}
	if len(f.sent()) > 0 {
		t.Errorf("a stranger with the genuine CA was sent %q", f.sent())
	}
}

func TestATokenWithoutAFingerprintIsWarnedOf(t *testing.T) {
	var out bytes.Buffer
	f := newFake(t, func(f *fakeServer) { f.token.CAHash = "" })
	if err := join(t, nodeOf(t.TempDir(), f.URL, f.token, slog.New(slog.NewTextHandler(&out, nil)))); err != nil {
		t.Fatal(err)
	}
	if strings.Count(out.String(), "level=WARN") != 1 || !strings.Contains(out.String(), "token") {
		t.Errorf("got %s", &out)
	}
}

// lateServer fails its first asks in ways that pass.
type lateServer struct {
	mu       sync.Mutex // guards what follows
	failures []http.HandlerFunc
	then     http.HandlerFunc
}

func (l *lateServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	next := l.then
	if len(l.failures) > 0 {
		next, l.failures = l.failures[0], l.failures[1:]
	}
	l.mu.Unlock()
	next(w, r)
}

func TestTroubleThatPassesIsWaitedOut(t *testing.T) {
	f := newFake(t, func(f *fakeServer) {
		f.answer = &lateServer{failures: []http.HandlerFunc{
			func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "starting", http.StatusServiceUnavailable) },
			func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "too often", http.StatusTooManyRequests) },
			func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"kubelet":`)) },
			func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{}`)) },
			func(w http.ResponseWriter, r *http.Request) { stolen(t, f, w, r) },
		}, then: f.join}
	})
	if err := join(t, nodeOf(t.TempDir(), f.URL, f.token, slog.New(slog.DiscardHandler))); err != nil {
		t.Error(err)
	}
	if left := f.answer.(*lateServer).failures; len(left) > 0 {
		t.Errorf("joined with a bad answer; %d were not tried", len(left))
	}
}

// stolen answers with certificates for a key that is not the node's.
func stolen(t *testing.T, f *fakeServer, w http.ResponseWriter, r *http.Request) {
	other := nodeOf("", "", wire.Token{}, nil)
	var err error
	if other.key, err = certs.NewKey(); err != nil {
		t.Error(err)
	}
	public, err := x509.MarshalPKIXPublicKey(other.key.Public())
	if err != nil {
		t.Error(err)
	}
	r.Body = joinBody(t, wire.Join{Name: "pi", PublicKey: public})
	f.join(w, r)
}
