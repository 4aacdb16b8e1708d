package tunnel

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

var errNotBinary = errors.New("the other end of the tunnel sent text")

// conn is a websocket as a stream of bytes: each write is a binary message, whose borders mean nothing. One goroutine
// may read while another one writes.
type conn struct {
	ws   *websocket.Conn
	rest io.Reader // of the message that is being read; nil between two
	bad  error     // the first read error; the websocket must not be read after it

	heard func()             // is told when something came; set before anybody reads
	life  context.Context    // ends with the tunnel
	end   context.CancelFunc // of life

	done chan struct{} // closed by Close
	once sync.Once
	err  error // of the one close; set before done closes
}

func newConn(ws *websocket.Conn) *conn {
	c := &conn{ws: ws, heard: func() {}, done: make(chan struct{})}
	c.life, c.end = context.WithCancel(context.Background())
	return c
}

// Read gives what has arrived.
func (c *conn) Read(p []byte) (int, error) {
	for c.bad == nil {
		if c.rest == nil {
			c.next()
			continue
		}
		n, err := c.rest.Read(p)
		switch {
		case errors.Is(err, io.EOF):
			c.rest = nil
		case err != nil:
			c.bad = err
		}
		if n > 0 {
			c.heard()
			return n, nil
		}
	}
	return 0, c.bad
}

// next waits for a message.
func (c *conn) next() {
	kind, reader, err := c.ws.NextReader()
	var closed *websocket.CloseError
	switch {
	case errors.As(err, &closed):
		c.bad = io.ErrUnexpectedEOF // a tunnel has no orderly end: both sides take its loss in the same way
	case err != nil:
		c.bad = err
	case kind != websocket.BinaryMessage:
		c.bad = errNotBinary
	default:
		c.rest = reader
	}
}

// Write sends p as one message.
func (c *conn) Write(p []byte) (int, error) {
	if err := c.ws.WriteMessage(websocket.BinaryMessage, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Close ends the tunnel and all that is under way in it.
func (c *conn) Close() error {
	c.once.Do(func() {
		c.end()
		c.err = c.ws.Close()
		close(c.done)
	})
	<-c.done
	return c.err
}

// LocalAddr is this side of the connection that carries the websocket.
func (c *conn) LocalAddr() net.Addr { return c.ws.LocalAddr() }

// RemoteAddr is the other side.
func (c *conn) RemoteAddr() net.Addr { return c.ws.RemoteAddr() }

// SetDeadline bounds reads and writes.
func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline bounds reads.
func (c *conn) SetReadDeadline(t time.Time) error { return c.ws.SetReadDeadline(t) }

// SetWriteDeadline bounds the write under way; the next one lifts it.
func (c *conn) SetWriteDeadline(t time.Time) error { return c.ws.NetConn().SetWriteDeadline(t) }
