package endpoint

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/skerry-io/skerry/internal/certs"
	"github.com/skerry-io/skerry/internal/run"
	"github.com/skerry-io/skerry/tests/certtest"
)

// told answers with what it is told of the caller.
type told struct{}

func (told) Holds() bool { return true }

func (told) Around(servers Reach) http.RoundTripper {
	return roundTrip(func(r *http.Request) (*http.Response, error) {
		if _, _, away := servers.Away(); !away {
			return servers.RoundTrip(r)
		}
		text := "user " + Caller(r.Context()) + ", " + r.Header.Get("Authorization")
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(text)), Request: r}, nil
	})
}

// podDoor runs an endpoint with a door for pods, before a server that is not there. It gives the door, and who pods of this node trust.
func (c *cluster) podDoor(t *testing.T, upstream string) (door netip.AddrPort, roots *x509.CertPool) {
	t.Helper()
	own := certtest.CA(t, "own")
	shown := issue(t, own, certs.Subject{Name: "own", Server: true, DNS: []string{"kubernetes.default.svc"}})
	door = netip.MustParseAddrPort(freeAddress(t))
	e := New(Config{Address: freeAddress(t), Servers: newList("https://" + upstream), Offline: told{}, Rows: &run.Rows{},
		Pods: Pods{At: []netip.AddrPort{door}, Certificate: func() tls.Certificate { return shown }}}, c, slog.New(slog.DiscardHandler))
	e.patience, e.linger = shortly, 500*time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- e.Run(ctx, func() { close(ready) }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	<-ready
	return door, poolOf(own)
}

func isOpen(at netip.AddrPort) bool {
	conn, err := net.Dial("tcp", at.String())
	if err == nil {
		_ = conn.Close()
	}
	return err == nil
}

func until(t *testing.T, what string, check func() bool) {
	t.Helper()
	for began := time.Now(); !check(); time.Sleep(20 * time.Millisecond) {
		if time.Since(began) > 15*time.Second {
			t.Fatalf("it is not so that %s", what)
		}
	}
}

func TestPodsAreAnsweredAtTheNodeWhileNoServerIsInReach(t *testing.T) {
	c := newCluster(t)
	upstream := freeAddress(t)
	door, roots := c.podDoor(t, upstream)
	until(t, "the door is open", func() bool { return isOpen(door) })
	pod := &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "kubernetes.default.svc",
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			certificate := c.clients[kubelet]
			return &certificate, nil
		}}}}
	defer pod.CloseIdleConnections()
	ask := func() (string, error) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+door.String()+"/api", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer mine")
		answer, err := pod.Do(r)
		if err != nil {
			return "", err
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		return string(text), err
	}
	if text, err := ask(); err != nil || text != "user , Bearer mine" {
		t.Errorf("with a token and the kubelet's certificate: %q, %v", text, err)
	}
	c.serve(t, upstream, says)
	until(t, "a server answers there", func() bool {
		text, err := ask()
		return err == nil && text == "served"
	})
	until(t, "the door is shut", func() bool { return !isOpen(door) })
}

func TestWithAServerThereIsNoDoor(t *testing.T) {
	c := newCluster(t)
	upstream := freeAddress(t)
	c.serve(t, upstream, says)
	door, _ := c.podDoor(t, upstream)
	time.Sleep(firstPatience / 5)
	if isOpen(door) {
		t.Error("pods are answered by the node")
	}
}

func TestStrangersAreNotLetIn(t *testing.T) {
	l := neighbours{pods: []netip.Prefix{netip.MustParsePrefix("10.42.0.0/16"), netip.MustParsePrefix("fd00:42::/56")}}
	for text, want := range map[string]bool{"10.42.3.7": true, "fd00:42::7": true, "127.0.0.1": true, "192.0.2.1": false, "10.43.0.1": false, "fd00:43::1": false} {
		if got := l.may(&net.TCPAddr{IP: net.ParseIP(text), Port: 4}); got != want {
			t.Errorf("%s: %t", text, got)
		}
	}
}

func TestTheDoorStaysOpenWhenServersAreAwayAgain(t *testing.T) {
	door := netip.MustParseAddrPort(freeAddress(t))
	e := New(Config{Pods: Pods{At: []netip.AddrPort{door}, Certificate: func() tls.Certificate { return tls.Certificate{} }}}, nil, slog.New(slog.DiscardHandler))
	e.linger = 200 * time.Millisecond
	a := newAbsence(false, &run.Rows{}, e.log)
	p := &pool{meanwhile: a}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); e.pods(ctx, ctx, a, http.NotFoundHandler()) }()
	p.leave(errAway)
	until(t, "the door is open", func() bool { return isOpen(door) })
	conn, err := net.Dial("tcp", door.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	p.returned(&upstream{})
	p.leave(errAway)
	_ = conn.SetReadDeadline(time.Now().Add(e.linger + 2*stopPatience))
	if _, err := conn.Read(make([]byte, 1)); !os.IsTimeout(err) {
		t.Errorf("a connection at it: %v", err)
	}
	p.returned(&upstream{})
	until(t, "the door is shut", func() bool { return !isOpen(door) })
	cancel()
	<-ended
}
