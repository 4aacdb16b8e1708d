package traffic

import (
	"net"
	"sync/atomic"
)

// Conn is a connection whose bytes are counted, by itself and by at most one Counter more.
type Conn struct {
	net.Conn
	own   Counter
	share atomic.Pointer[Counter]
}

// Count counts a connection's bytes in c, and below whatever it is wrapped in later.
func Count(conn net.Conn, c *Counter) *Conn {
	counted := &Conn{Conn: conn}
	counted.share.Store(c)
	return counted
}

// For has the bytes counted in c from now on, with those that went before anybody knew whose they are. It is for whoever learns
// who is at the other end, while nothing else goes over the connection; a second call does nothing.
func (c *Conn) For(to *Counter) {
	if c.share.CompareAndSwap(nil, to) {
		to.sent.Add(c.own.Sent())
		to.received.Add(c.own.Received())
	}
}

// Read counts what came.
func (c *Conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if to := c.share.Load(); to != nil {
		to.received.Add(uint64(max(n, 0)))
	} else {
		c.own.received.Add(uint64(max(n, 0)))
	}
	return n, err
}

// Write counts what went.
func (c *Conn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if to := c.share.Load(); to != nil {
		to.sent.Add(uint64(max(n, 0)))
	} else {
		c.own.sent.Add(uint64(max(n, 0)))
	}
	return n, err
}

// Listener gives connections that count; whose they are, their users say with For.
type Listener struct{ net.Listener }

// Accept waits for the next connection.
func (l Listener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return Count(conn, nil), nil
}

// Find is the counted connection below conn, through encryption; nil when there is none.
func Find(conn net.Conn) *Conn {
	for {
		switch c := conn.(type) {
		case *Conn:
			return c
		case interface{ NetConn() net.Conn }: // as tls.Conn has it
			conn = c.NetConn()
		default:
			return nil
		}
	}
}
