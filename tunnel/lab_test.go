package tunnel

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skerry-io/skerry/internal/certs"
	"github.com/skerry-io/skerry/internal/traffic"
	"github.com/skerry-io/skerry/internal/wire"
)

// lab is a server's port with real TLS, and the authority of its nodes.
type lab struct {
	t          *testing.T
	ca         *certs.CA
	tunnels    *Server
	web        *httptest.Server
	handshakes atomic.Int64
	heard      func(ctx context.Context, node string, word []byte) []byte // nil refuses all words
}

func (l *lab) hears(ctx context.Context, node string, word []byte) []byte {
	if l.heard == nil {
		return nil
	}
	return l.heard(ctx, node, word)
}

// quick is a pulse for tests.
func quick() pulse { return pulse{silence: 200 * time.Millisecond, answer: 300 * time.Millisecond} }

func newLab(t *testing.T) *lab {
	t.Helper()
	key, err := certs.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	ca, err := certs.NewCA("ca", key)
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{t: t, ca: ca}
	l.start("127.0.0.1:0")
	t.Cleanup(func() { l.stop() })
	return l
}

// start begins to listen, with no tunnel.
func (l *lab) start(address string) {
	l.t.Helper()
	var err error
	if l.tunnels, err = NewServer("own", l.hears, slog.New(slog.DiscardHandler)); err != nil {
		l.t.Fatal(err)
	}
	l.tunnels.pulse = quick()
	l.tunnels.patience = 3 * time.Second
	listener, err := net.Listen("tcp", address)
	if err != nil {
		l.t.Fatal(err)
	}
	tunnels := l.tunnels
	l.web = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.handshakes.Add(1)
		if r.URL.Path != wire.PathConnect {
			_, _ = io.WriteString(w, "pong")
			return
		}
		tunnels.Serve(w, r, r.TLS.PeerCertificates[0].Subject.CommonName)
	}))
	_ = l.web.Listener.Close()
	l.web.Listener = traffic.Listener{Listener: listener} // as the server's port has it
	l.web.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	l.web.TLS = &tls.Config{Certificates: []tls.Certificate{l.certificate("server", true)}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: l.pool()}
	l.web.EnableHTTP2 = true
	l.web.StartTLS()
}

func (l *lab) stop() {
	l.tunnels.Close()
	l.web.Close()
}

func (l *lab) address() string { return l.web.Listener.Addr().String() }

func (l *lab) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(l.ca.Certificate)
	return pool
}

func (l *lab) certificate(name string, server bool) tls.Certificate {
	return l.certificateFor(name, server, 0)
}

func (l *lab) certificateFor(name string, server bool, life time.Duration) tls.Certificate {
	key, err := certs.NewKey()
	if err != nil {
		l.t.Fatal(err)
	}
	cert, err := l.ca.SignFor(life, certs.Subject{Name: name, DNS: []string{"localhost"}, Server: server, Client: !server}, key.Public())
	if err != nil {
		l.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}
}

// client prepares a node that dials whatever is on the loopback.
func (l *lab) client(name, address string) *Client {
	pair := l.certificate(name, false)
	c := NewClient(Config{
		Servers: Fixed{"https://" + address},
		TLS: func() (*tls.Config, error) {
			return &tls.Config{RootCAs: l.pool(), ServerName: "localhost", Certificates: []tls.Certificate{pair}}, nil
		},
		Dial: func(ctx context.Context, to string) (net.Conn, error) {
			if !strings.HasPrefix(to, "127.0.0.1:") {
				return nil, fmt.Errorf("%s: %w", to, ErrForbidden)
			}
			return (&net.Dialer{}).DialContext(ctx, "tcp", to)
		},
		Log: slog.New(slog.DiscardHandler),
	})
	c.pulse = quick()
	c.pause = func(int) time.Duration { return 50 * time.Millisecond }
	return c
}

// run starts a node, and gives the function that ends it and waits for its end.
func (l *lab) run(c *Client) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := c.Run(ctx, func() {}); err != nil {
			l.t.Error(err)
		}
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		<-ended
	})
	l.t.Cleanup(stop)
	return stop
}

// dial wants a connection.
func (l *lab) dial(node, to string) net.Conn {
	l.t.Helper()
	conn, err := l.tunnels.Dial(l.t.Context(), node, to)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// listen serves each connection with work.
func listen(t *testing.T, work func(net.Conn)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			go func() {
				defer conn.Close()
				work(conn)
			}()
		}
	}()
	return l.Addr().String()
}

func echo(c net.Conn) { _, _ = io.Copy(c, c) }

// eventually waits for something to become true.
func eventually(t *testing.T, within time.Duration, what string, is func() bool) {
	t.Helper()
	for until := time.Now().Add(within); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("not within %s: %s", within, what)
		}
	}
}

// leaks wants that the test leaves no goroutine of the tunnel; call it first.
func leaks(t *testing.T) {
	t.Helper()
	t.Cleanup(func() {
		stacks := func() string {
			buffer := make([]byte, 4<<20)
			var ours []string
			for one := range strings.SplitSeq(string(buffer[:runtime.Stack(buffer, true)]), "\n\n") {
				if strings.Contains(one, "skerry/tunnel.") && !strings.Contains(one, "testing.tRunner") || strings.Contains(one, "net/http2.") {
					ours = append(ours, one)
				}
			}
			return strings.Join(ours, "\n\n")
		}
		for until := time.Now().Add(5 * time.Second); stacks() != ""; time.Sleep(20 * time.Millisecond) {
			if time.Now().After(until) {
				t.Fatalf("goroutines are left:\n%s", stacks())
			}
		}
	})
}
