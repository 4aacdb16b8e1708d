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

	"github.com/skerry-io/skerry/internal/traffic"
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
	// keepAlive is how long a connection may be idle until the kernel asks; one with HTTP/2 is asked before, see silence.
	keepAlive = 2 * time.Minute
)

// upstream is one API server.
type upstream struct {
	url     string
	address string // host:port
	name    string // the host alone, which its certificate must be for
	local   bool   // it runs on this machine
	id      Identity
	count   *traffic.Counter // of what goes there; nil for one on this machine

	condition atomic.Int32
	epoch     time.Time    // what times are counted from, as clocks are set
	heard     atomic.Int64 // when it last said anything, in nanoseconds after epoch
	examined  atomic.Int64 // when it was last asked because it was silent, in nanoseconds after epoch
	busy      atomic.Int32 // requests under way
	waiting   atomic.Int32 // those that somebody waits for: all but watches that have begun
	doubted   atomic.Bool  // it is being asked whether it is there

	mu     sync.Mutex // guards what follows
	order  int        // place in the list; negative when it left the list
	roads  map[string]*road
	open   map[int]held // each connection and each attempt at one
	number int          // of the last entry in open
}

// held is something that depends on a server.
type held struct {
	user string // "" for callers without a certificate
	end  func()
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
		epoch: time.Now().Add(-listenFor), id: id, roads: map[string]*road{}, open: map[int]held{}}, nil
}

func (u *upstream) is() condition   { return condition(u.condition.Load()) }
func (u *upstream) set(c condition) { u.condition.Store(int32(c)) }
func (u *upstream) hear()           { u.heard.Store(int64(time.Since(u.epoch))) }

// lastHeard is when it last said anything, by a clock that nobody sets; before it did, about when it became known.
func (u *upstream) lastHeard() time.Time { return u.epoch.Add(time.Duration(u.heard.Load())) }

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

// hold notes how something of a user that depends on the server is ended, until release is called.
func (u *upstream) hold(user string, end func()) (release func()) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.number++
	number := u.number
	u.open[number] = held{user, end}
	return func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		delete(u.open, number)
	}
}

// users are those who have connections.
func (u *upstream) users() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	found := map[string]bool{}
	for _, h := range u.open {
		found[h.user] = true
	}
	return slices.Collect(maps.Keys(found))
}

// giveUp ends every connection, and every attempt at one: a server that lost its power never would.
func (u *upstream) giveUp() {
	u.set(gone)
	u.leave(u.users()...)
}

// leave ends the connections of some users, and their attempts.
func (u *upstream) leave(users ...string) {
	u.mu.Lock()
	var ends []func()
	for _, h := range u.open {
		if slices.Contains(users, h.user) {
			ends = append(ends, h.end)
		}
	}
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

// connect opens a connection for a user, which counts as long as it is open.
func (u *upstream) connect(ctx context.Context, user string) (net.Conn, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	release := u.hold(user, func() { cancel(errGivenUp) })
	defer release()
	dialer := net.Dialer{Timeout: connectPatience, KeepAlive: keepAlive, Control: noticeLoss}
	conn, err := dialer.DialContext(ctx, "tcp", u.address)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return nil, cause
	}
	if err != nil {
		return nil, err
	}
	if u.count != nil {
		conn = traffic.Count(conn, u.count)
	}
	watched := &connection{Conn: conn, from: u}
	watched.release = u.hold(user, func() { _ = conn.Close() })
	return watched, nil
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
