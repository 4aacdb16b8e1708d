package endpoint

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// condition is what was last seen of a server; a smaller one is tried first.
type condition int32

const (
	good     condition = iota // it answered, or was not asked yet
	starting                  // its port answers, its API does not
	gone                      // no connection
)

// errGivenUp ends what hangs on a server that went silent.
var errGivenUp = errors.New("the server went silent")

const (
	// connectPatience is how long a server may take to accept a connection, and again to agree on its encryption.
	connectPatience = 5 * time.Second
	// unheard is how long the kernel waits for a sign that sent data arrived, before it ends a connection.
	unheard = 30 * time.Second
)

// upstream is one API server.
type upstream struct {
	url     string
	address string // host:port
	name    string // the host alone, which its certificate must be for
	local   bool   // it runs on this machine
	id      Identity

	condition atomic.Int32
	heard     atomic.Int64 // when it last said anything, in Unix nanoseconds
	examined  atomic.Int64 // when it was last asked because it was silent, in Unix nanoseconds
	busy      atomic.Int32 // requests under way

	mu     sync.Mutex // guards what follows
	order  int        // place in the list; negative when it left the list
	roads  map[string]*road
	open   map[int]func() // how to end each connection and each attempt at one
	number int            // of the last entry in open
}

func newUpstream(text string, id Identity) (*upstream, error) {
	at, err := url.Parse(text)
	if err != nil {
		return nil, err
	}
	if at.Scheme != "https" || at.Hostname() == "" {
		return nil, fmt.Errorf("%q is not the URL of an API server", text)
	}
	port := at.Port()
	if port == "" {
		port = "443"
	}
	ip, err := netip.ParseAddr(at.Hostname())
	return &upstream{url: text, address: net.JoinHostPort(at.Hostname(), port), name: at.Hostname(), local: err == nil && ip.IsLoopback(),
		id: id, roads: map[string]*road{}, open: map[int]func(){}}, nil
}

func (u *upstream) is() condition        { return condition(u.condition.Load()) }
func (u *upstream) set(c condition)      { u.condition.Store(int32(c)) }
func (u *upstream) hear()                { u.heard.Store(time.Now().UnixNano()) }
func (u *upstream) lastHeard() time.Time { return time.Unix(0, u.heard.Load()) }

// place is where in the list the server stands, and whether it still does.
func (u *upstream) place() (order int, listed bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.order, u.order >= 0
}

func (u *upstream) setPlace(order int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.order = order
}

// hold notes how something that depends on the server is ended, until release is called.
func (u *upstream) hold(end func()) (release func()) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.number++
	number := u.number
	u.open[number] = end
	return func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		delete(u.open, number)
	}
}

// giveUp ends every connection, and every attempt at one: a server that lost its power never would.
func (u *upstream) giveUp() {
	u.set(gone)
	u.mu.Lock()
	ends := slices.Collect(maps.Values(u.open))
	u.mu.Unlock()
	for _, end := range ends {
		end()
	}
}

// closeIdle ends connections that carry nothing. The end of a connection takes mu.
func (u *upstream) closeIdle() {
	u.mu.Lock()
	roads := slices.Collect(maps.Values(u.roads))
	u.mu.Unlock()
	for _, r := range roads {
		r.closeIdle()
	}
}

// connect opens a connection, which counts as long as it is open.
func (u *upstream) connect(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	release := u.hold(func() { cancel(errGivenUp) })
	defer release()
	dialer := net.Dialer{Timeout: connectPatience, KeepAlive: 15 * time.Second, Control: noticeLoss}
	conn, err := dialer.DialContext(ctx, "tcp", u.address)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return nil, cause
	}
	if err != nil {
		return nil, err
	}
	counted := &connection{Conn: conn, from: u}
	counted.release = u.hold(func() { _ = conn.Close() })
	return counted, nil
}

// noticeLoss makes the kernel end a connection whose data nobody confirms; keep-alives stop as soon as data is under way.
func noticeLoss(_, _ string, raw syscall.RawConn) error {
	var failed error
	err := raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(unheard.Milliseconds()))
	})
	return errors.Join(err, failed)
}

// connection notes when the server is heard.
type connection struct {
	net.Conn
	from    *upstream
	release func()
}

// Read hears the server.
func (c *connection) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.from.hear()
	}
	return n, err
}

// Close ends the connection.
func (c *connection) Close() error {
	c.release()
	return c.Conn.Close()
}
