package supervisor

import (
	"net"
	"net/http"
	"net/netip"
	"sync"
)

// How many connections may be open that have not sent a request yet: from one address, and from all. Connections that
// say nothing, or one byte a second, cost memory until the header's time is over.
const (
	silentOfOne = 512
	silentOfAll = 4096
)

// crowd counts connections that have not sent a request yet.
type crowd struct {
	mu     sync.Mutex // guards what follows
	silent map[net.Conn]netip.Prefix
	by     map[netip.Prefix]int
}

func newCrowd() *crowd {
	return &crowd{silent: map[net.Conn]netip.Prefix{}, by: map[netip.Prefix]int{}}
}

// state is an http.Server's ConnState: it closes what is too much.
func (c *crowd) state(conn net.Conn, state http.ConnState) {
	if state == http.StateNew {
		if !c.enter(conn) {
			_ = conn.Close() // its handshake fails, and that ends it
		}
		return
	}
	c.leave(conn)
}

func (c *crowd) enter(conn net.Conn) bool {
	from := parseAddress(conn.RemoteAddr().String())
	if from.IsLoopback() {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	key := network(from)
	if len(c.silent) >= silentOfAll || c.by[key] >= silentOfOne {
		return false
	}
	c.silent[conn] = key
	c.by[key]++
	return true
}

func (c *crowd) leave(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key, counted := c.silent[conn]
	if !counted {
		return
	}
	delete(c.silent, conn)
	if c.by[key]--; c.by[key] == 0 {
		delete(c.by, key)
	}
}
