package supervisor

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skerry-io/skerry/internal/certs"
	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/wire"
)

func says(text string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) })
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := certs.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// newServing gives a certificate for 127.0.0.1 and name, and who trusts it.
func newServing(t *testing.T, name string) (*tls.Certificate, *x509.CertPool) {
	t.Helper()
	key := newKey(t)
	ca, err := certs.NewCA("ca of "+name, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.Sign(certs.Subject{Name: name, DNS: []string{name}, IPs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}, Server: true}, key.Public())
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca.Certificate)
	return &tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}, roots
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

// start runs a port until the test ends, and gives a function that stops it and waits.
func start(t *testing.T, p *Port) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- p.Run(ctx, func() { close(ready) }) }()
	select {
	case <-ready:
	case err := <-ended:
		t.Fatal(err)
	}
	return func() error {
		cancel()
		select {
		case err := <-ended:
			return err
		case <-time.After(10 * time.Second):
			return errors.New("did not stop")
		}
	}
}

func client(t *testing.T, roots *x509.CertPool, serverName string) *http.Client {
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: serverName}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func get(t *testing.T, c *http.Client, url string) string {
	t.Helper()
	answer, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.Proto + " " + string(text)
}

func TestOnePortForBothAPIsAndBothNames(t *testing.T) {
	serving, roots := newServing(t, "node")
	loopback, loopbackRoots := newServing(t, "loopback")
	address := freeAddress(t)
	p := NewPort(address, always(serving), says("ours"), slog.New(slog.DiscardHandler))
	stop := start(t, p)
	if got := get(t, client(t, roots, ""), "https://"+address+wire.PathPing); got != "HTTP/2.0 ours" {
		t.Errorf("before there is an API server: got %q", got)
	}
	p.SetAPI(says("theirs"), "loopback", loopback)
	p.SetAPI(says("a second one"), "loopback", loopback)
	if got := get(t, client(t, roots, ""), "https://"+address+"/api"); got != "HTTP/2.0 theirs" {
		t.Errorf("got %q", got)
	}
	if got := get(t, client(t, loopbackRoots, "loopback"), "https://"+address+"/api"); got != "HTTP/2.0 theirs" {
		t.Errorf("by the loopback name: got %q", got)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", address); err == nil {
		t.Error("the port is still open")
	}
}

func TestAWatchDoesNotDelayTheEnd(t *testing.T) {
	serving, roots := newServing(t, "node")
	address := freeAddress(t)
	p := NewPort(address, always(serving), says("ours"), slog.New(slog.DiscardHandler))
	p.SetAPI(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}), "x", nil)
	stop := start(t, p)
	answer, err := client(t, roots, "").Get("https://" + address + "/watch")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	began := time.Now()
	if err := stop(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > stopPatience+3*time.Second {
		t.Errorf("the end took %s", took)
	}
}

func TestAnAddressThatCannotBeHad(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, number, _ := net.SplitHostPort(taken.Addr().String())
	for name, c := range map[string]struct{ address, cure string }{
		"a port in use":        {taken.Addr().String(), "ss -ltnp sport = :" + number},
		"a stranger's address": {"192.0.2.1:6443", "bind-address"},
	} {
		serving, _ := newServing(t, "node")
		err := NewPort(c.address, always(serving), says(""), slog.New(slog.DiscardHandler)).Run(t.Context(), func() { t.Error("called ready") })
		var told *fault.Fault
		if !errors.As(err, &told) || !strings.Contains(err.Error(), c.address) || !strings.Contains(told.Cure(), c.cure) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// ask gives the status, and how long the answer took.
func ask(ctx context.Context, p *Port, path string) (status int, took time.Duration) {
	began := time.Now()
	w := httptest.NewRecorder()
	p.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, path, nil))
	return w.Code, time.Since(began)
}

func TestRequestsWaitForTheAPIServer(t *testing.T) {
	const never = time.Hour
	for name, c := range map[string]struct {
		path   string
		after  time.Duration // when the API server comes
		status int
		took   time.Duration
	}{
		"a request waits":                   {"/api/v1/nodes", 3 * time.Second, http.StatusOK, 3 * time.Second},
		"a request does not wait for ever":  {"/api/v1/nodes", never, http.StatusServiceUnavailable, patience},
		"a health check is not held":        {"/readyz", never, http.StatusServiceUnavailable, 0},
		"one of a part is not held":         {"/livez/etcd", never, http.StatusServiceUnavailable, 0},
		"what sounds like one waits":        {"/readyzzz", 3 * time.Second, http.StatusOK, 3 * time.Second},
		"ours need no API server":           {wire.PathReady, never, http.StatusOK, 0},
		"what sounds like ours is not ours": {strings.TrimSuffix(wire.PathPrefix, "/"), 3 * time.Second, http.StatusOK, 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := NewPort("", nil, says("ours"), slog.New(slog.DiscardHandler))
				late := time.AfterFunc(c.after, func() { p.SetAPI(says("theirs"), "x", nil) })
				defer late.Stop()
				if status, took := ask(t.Context(), p, c.path); status != c.status || took != c.took {
					t.Errorf("got %d after %s", status, took)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		p := NewPort("", nil, says("ours"), slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, took := ask(ctx, p, "/api"); took != time.Second {
			t.Errorf("a client that went away was held for %s", took)
		}
	})
}

// always gives one certificate.
func always(cert *tls.Certificate) func() *tls.Certificate {
	return func() *tls.Certificate { return cert }
}

func TestAStalledServerSendsClientsElsewhere(t *testing.T) {
	serving, roots := newServing(t, "node")
	loopback, loopbackRoots := newServing(t, "loopback")
	address := freeAddress(t)
	p := NewPort(address, always(serving), says("ours"), slog.New(slog.DiscardHandler))
	stalled := true
	p.Stalled(func() bool { return stalled })
	stop := start(t, p)
	p.SetAPI(says("theirs"), "loopback", loopback)
	answer, err := client(t, roots, "").Get("https://" + address + "/api/v1/nodes")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusServiceUnavailable || answer.Header.Get("Retry-After") == "" || !strings.HasPrefix(answer.Header.Get("Content-Type"), "text/plain") {
		t.Errorf("got %s, %v", answer.Status, answer.Header)
	}
	for path, want := range map[string]string{"/readyz": "HTTP/2.0 theirs", wire.PathPing: "HTTP/2.0 ours"} {
		if got := get(t, client(t, roots, ""), "https://"+address+path); got != want {
			t.Errorf("%s: %q", path, got)
		}
	}
	if got := get(t, client(t, loopbackRoots, "loopback"), "https://"+address+"/api"); got != "HTTP/2.0 theirs" {
		t.Errorf("the API server hears of itself %q", got)
	}
	stalled = false
	if got := get(t, client(t, roots, ""), "https://"+address+"/api/v1/nodes"); got != "HTTP/2.0 theirs" {
		t.Errorf("afterwards: %q", got)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}
