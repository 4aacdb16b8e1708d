package tunnel

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// swallower passes bytes between a node and its server, until it swallows them: a link that died without a word.
type swallower struct {
	address   string
	swallows  atomic.Bool
	slow      atomic.Bool  // 160 kB/s
	late      atomic.Int64 // nanoseconds by which all is late
	mu        sync.Mutex   // guards open
	open      []net.Conn
	connected atomic.Int64
}

func newSwallower(t *testing.T, to string) *swallower {
	s := &swallower{}
	s.address = listen(t, func(c net.Conn) {
		server, err := net.Dial("tcp", to)
		if err != nil {
			return
		}
		defer server.Close()
		s.connected.Add(1)
		s.mu.Lock()
		s.open = append(s.open, c, server)
		s.mu.Unlock()
		go s.pass(server, c)
		s.pass(c, server)
		for s.swallows.Load() {
			time.Sleep(10 * time.Millisecond) // keeps both connections open
		}
	})
	t.Cleanup(func() {
		s.swallows.Store(false)
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, c := range s.open {
			_ = c.Close()
		}
	})
	return s
}

func (s *swallower) pass(to, from net.Conn) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		if s.swallows.Load() {
			continue
		}
		if s.slow.Load() {
			time.Sleep(200 * time.Millisecond)
		}
		time.Sleep(time.Duration(s.late.Load()))
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func TestADeadLinkIsNoticedInTime(t *testing.T) {
	for _, p := range []pulse{nodePulse(), serverPulse()} {
		if p.silence+p.answer >= 20*time.Second {
			t.Errorf("%+v notices too late", p)
		}
	}
	leaks(t)
	l := newLab(t)
	link := newSwallower(t, l.address())
	c := l.client("a", link.address)
	l.run(c)
	conn := l.dial("a", listen(t, echo))
	link.swallows.Store(true)
	began := time.Now()
	if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("the server reads %v from a dead link", err)
	}
	bound := quick().silence + quick().answer + time.Second
	if took := time.Since(began); took > bound {
		t.Errorf("the server took %s", took)
	}
	eventually(t, bound, "the server forgets the tunnel", func() bool { return !l.tunnels.Has("a") })
	// The node tries again: that it does shows that it has noticed.
	eventually(t, bound, "the node dials again", func() bool { return link.connected.Load() > 1 })
}

// A write into a dead link blocks once the kernel's buffers are full; the pulse must beat on.
func TestADeadLinkIsNoticedWhileWriting(t *testing.T) {
	leaks(t)
	l := newLab(t)
	link := newSwallower(t, l.address())
	l.run(l.client("a", link.address))
	conn := l.dial("a", listen(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }))
	time.AfterFunc(100*time.Millisecond, func() { link.swallows.Store(true) })
	began := time.Now()
	for {
		if _, err := conn.Write(make([]byte, 32<<10)); err != nil {
			break
		}
	}
	if took := time.Since(began); took > 100*time.Millisecond+quick().silence+quick().answer+time.Second {
		t.Errorf("took %s", took)
	}
}

func TestANewerTunnelTakesThePlace(t *testing.T) {
	leaks(t)
	l := newLab(t)
	first := l.client("a", l.address())
	first.pause = func(int) time.Duration { return time.Hour }
	l.run(first)
	old := l.dial("a", listen(t, echo))
	before := l.tunnels.Tunnels()[0].From
	l.run(l.client("a", l.address()))
	if _, err := old.Read(make([]byte, 1)); err == nil {
		t.Error("the older tunnel lives")
	}
	if list := l.tunnels.Tunnels(); len(list) != 1 || list[0].From == before {
		t.Errorf("the tunnels are %v", list)
	}
	l.dial("a", listen(t, echo))
}

func TestADroppedNodeComesBack(t *testing.T) {
	leaks(t)
	l := newLab(t)
	l.run(l.client("a", l.address()))
	target := listen(t, echo)
	conn := l.dial("a", target)
	l.tunnels.Drop("a")
	l.tunnels.Drop("nobody")
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("the connection lives")
	}
	l.dial("a", target)
}

func TestTheOwnServerIsLeftAlone(t *testing.T) {
	leaks(t)
	l := newLab(t)
	l.run(l.client("own", l.address()))
	eventually(t, 5*time.Second, "the node asks", func() bool { return l.handshakes.Load() == 1 })
	time.Sleep(300 * time.Millisecond)
	if n := l.handshakes.Load(); n != 1 || l.tunnels.Has("own") {
		t.Errorf("it asked %d times", n)
	}
}

// A node that knows its server by two URLs has one tunnel, and another one soon when that is lost.
func TestOneServerByTwoURLs(t *testing.T) {
	leaks(t)
	l := newLab(t)
	other := newSwallower(t, l.address())
	c := l.client("a", l.address())
	c.config.Servers = Fixed{"https://" + l.address(), "https://" + other.address}
	l.run(c)
	for range 2 {
		eventually(t, 5*time.Second, "there is a tunnel", func() bool { return l.tunnels.Has("a") })
		time.Sleep(300 * time.Millisecond) // both have tried by now
		before, asked := l.tunnels.Tunnels(), l.handshakes.Load()
		time.Sleep(300 * time.Millisecond)
		if after := l.tunnels.Tunnels(); len(before) != 1 || len(after) != 1 || before[0] != after[0] || l.handshakes.Load() != asked {
			t.Fatalf("the tunnels were %v and are %v; %d more attempts", before, after, l.handshakes.Load()-asked)
		}
		l.tunnels.Drop("a")
	}
}

func TestWhatIsNoTunnel(t *testing.T) {
	leaks(t)
	l := newLab(t)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: l.pool(), ServerName: "localhost",
		Certificates: []tls.Certificate{l.certificate("a", false)}}}}
	defer client.CloseIdleConnections()
	for name, headers := range map[string]http.Header{
		"a plain request":        {},
		"another protocol":       {"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"AAAAAAAAAAAAAAAAAAAAAA=="}, "Sec-Websocket-Protocol": {"chat"}},
		"a websocket by halves":  {"Upgrade": {"websocket"}, "Sec-Websocket-Protocol": {protocol}},
		"one from a web browser": {"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"AAAAAAAAAAAAAAAAAAAAAA=="}, "Sec-Websocket-Protocol": {protocol}, "Origin": {"https://evil.example"}},
	} {
		request, err := http.NewRequest(http.MethodGet, l.web.URL+"/v1-skerry/connect", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		request.Header = headers
		answer, err := client.Do(request)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		_ = answer.Body.Close()
		if answer.StatusCode < 400 {
			t.Errorf("%s: %s", name, answer.Status)
		}
	}
	if len(l.tunnels.Tunnels()) > 0 {
		t.Error("there is a tunnel")
	}
}

// A node that sends anything but the protocol loses its tunnel, and nobody else's.
func TestGarbageEndsTheTunnel(t *testing.T) {
	leaks(t)
	l := newLab(t)
	l.run(l.client("good", l.address()))
	for _, garbage := range []string{"GET / HTTP/1.1\r\n\r\n", strings.Repeat("\xff", 1<<20), "\x00\x00\x00\x04\x00\x00\x00\x00\x00" + strings.Repeat("x", 100)} {
		ws, _, err := l.client("bad", l.address()).open(t.Context(), "https://"+l.address())
		if err != nil {
			t.Fatal(err)
		}
		bad := newConn(ws)
		_, _ = bad.Write([]byte(garbage))
		_ = bad.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, err := io.Copy(io.Discard, bad); errors.Is(err, errNotBinary) || l.tunnels.Has("bad") && !gone(l, "bad") {
			t.Errorf("%.10q: %v", garbage, err)
		}
		_ = bad.Close()
	}
	l.dial("good", listen(t, echo))
}

func gone(l *lab, node string) bool {
	for range 200 {
		if !l.tunnels.Has(node) {
			return true
		}
		time.Sleep(10 * time.Millisecond)
	}
	return false
}

// manyServers is a list that changes.
type manyServers struct {
	mu      sync.Mutex // guards what follows
	urls    []string
	changed chan struct{}
}

func (m *manyServers) URLs() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.urls
}

func (m *manyServers) Changed() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.changed
}

func (m *manyServers) set(urls ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.urls = urls
	close(m.changed)
	m.changed = make(chan struct{})
}

func TestTheListOfServersMayChange(t *testing.T) {
	leaks(t)
	first, second := newLab(t), newLab(t)
	second.ca = first.ca
	second.stop()
	second.start("127.0.0.1:0")
	list := &manyServers{changed: make(chan struct{})}
	c := first.client("a", first.address())
	c.config.Servers = list
	first.run(c)
	one, two := "https://"+first.address(), "https://"+second.address()
	for _, step := range []struct {
		urls          []string
		first, second bool
	}{{[]string{one}, true, false}, {[]string{one, two}, true, true}, {[]string{two}, false, true}, {nil, false, false}, {[]string{one}, true, false}} {
		list.set(step.urls...)
		eventually(t, 5*time.Second, strings.Join(step.urls, " and "), func() bool {
			return first.tunnels.Has("a") == step.first && second.tunnels.Has("a") == step.second
		})
	}
}
