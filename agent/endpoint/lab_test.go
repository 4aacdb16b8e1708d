package endpoint

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skerry-io/skerry/internal/wire"
)

// limit is within what everything has to go on when a server is lost.
const limit = 3 * time.Second

// list is a list of servers that a test can change.
type list struct {
	mu      sync.Mutex // guards what follows
	urls    []string
	changed chan struct{}
}

func newList(urls ...string) *list { return &list{urls: urls, changed: make(chan struct{})} }

func (l *list) URLs() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.urls
}

func (l *list) Changed() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changed
}

func (l *list) set(urls ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.urls = urls
	close(l.changed)
	l.changed = make(chan struct{})
}

// machine is a server behind a link that can lose its power: then bytes go nowhere, and no connection ends.
type machine struct {
	name     string
	url      string
	asked    atomic.Int32 // requests that arrived, probes aside
	probes   atomic.Int32
	starting atomic.Bool // its API is not there yet

	mu        sync.Mutex // guards what follows
	dark      bool
	live      []net.Conn
	forgotten map[net.Conn]bool
}

// machine runs a server whose handler is told its name.
func (c *cluster) machine(t *testing.T, name string, handler func(name string, w http.ResponseWriter, r *http.Request)) *machine {
	t.Helper()
	inner := freeAddress(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{name: name, url: "https://" + listener.Addr().String()}
	c.serve(t, inner, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == wire.PathReady {
			m.probes.Add(1)
		} else {
			m.asked.Add(1)
		}
		switch {
		case m.starting.Load():
			w.Header().Set("Retry-After", "1")
			http.Error(w, "the API server is starting", http.StatusServiceUnavailable)
		case r.URL.Path == wire.PathReady:
			_, _ = io.WriteString(w, "ok\n")
		default:
			handler(name, w, r)
		}
	})
	var links sync.WaitGroup
	links.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			links.Go(func() { m.link(conn, inner) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		m.mu.Lock()
		for _, conn := range m.live {
			_ = conn.Close()
		}
		m.mu.Unlock()
		links.Wait()
	})
	return m
}

func (m *machine) link(near net.Conn, inner string) {
	far, err := net.Dial("tcp", inner)
	if err != nil {
		_ = near.Close()
		return
	}
	m.mu.Lock()
	m.live = append(m.live, near, far)
	m.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { m.pump(near, far) })
	both.Go(func() { m.pump(far, near) })
	both.Wait()
}

func (m *machine) pump(from, to net.Conn) {
	buffer := make([]byte, 16<<10)
	for {
		n, err := from.Read(buffer)
		switch {
		case m.swallows(from) && err == nil:
		case m.swallows(from):
			return
		case err != nil:
			_ = to.Close()
			return
		default:
			if _, err := to.Write(buffer[:n]); err != nil {
				_ = from.Close()
				return
			}
		}
	}
}

func (m *machine) swallows(conn net.Conn) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.dark || m.forgotten[conn]
}

// forget has what is open stay dead, as routers do; what is opened later works.
func (m *machine) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forgotten = map[net.Conn]bool{}
	for _, conn := range m.live {
		m.forgotten[conn] = true
	}
}

// power cuts or restores it; what was open at the cut stays dead.
func (m *machine) power(on bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dark = !on
	if on {
		for _, conn := range m.live {
			_ = conn.Close()
		}
		m.live = nil
	}
}

// front runs an endpoint in front of the servers of a list.
func (c *cluster) front(t *testing.T, servers Servers) (at string) {
	t.Helper()
	address := freeAddress(t)
	e := New(Config{Address: address, Servers: servers}, c, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- e.Run(ctx, func() { close(ready) }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	select {
	case <-ready:
	case <-time.After(patient):
		t.Fatal("the endpoint is not ready")
	}
	return "https://" + address
}

func sayName(name string, w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, name) }
