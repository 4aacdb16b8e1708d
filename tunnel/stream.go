package tunnel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// linger is how long the last bytes that were written before a Close may take.
const linger = 5 * time.Second

// stream is one connection through a tunnel, as its server holds it.
type stream struct {
	node string
	to   string // host:port as the node understands it

	in  *io.PipeWriter // to the node
	out io.ReadCloser  // from the node
	end func()

	reads, writes deadline
	closed        atomic.Bool
	once          sync.Once
}

// upload is the request's body: what was written into the stream. The transport asks for more only when what it had is
// on its way, so at the end of a closed stream nothing can be lost any more by cutting it off.
type upload struct {
	*io.PipeReader
	stream *stream
}

func (u upload) Read(p []byte) (int, error) {
	n, err := u.PipeReader.Read(p)
	if err != nil && u.stream.closed.Load() {
		u.stream.end()
	}
	return n, err
}

// newStream makes a stream and the body that carries what is written into it; out is set when the node has answered.
func newStream(node, to string, end context.CancelFunc) (*stream, upload) {
	body, in := io.Pipe()
	s := &stream{node: node, to: to, in: in}
	s.end = func() {
		end()
		_ = in.CloseWithError(net.ErrClosed) // the transport notices the one while it sends, the other while it waits for more
	}
	s.reads.end, s.writes.end = s.end, s.end
	return s, upload{body, s}
}

// Read gives what came from the node.
func (s *stream) Read(p []byte) (int, error) {
	if !s.reads.begin() {
		return 0, os.ErrDeadlineExceeded
	}
	n, err := s.out.Read(p)
	return n, s.explain(err, s.reads.finish())
}

// Write sends to the node.
func (s *stream) Write(p []byte) (int, error) {
	if !s.writes.begin() {
		return 0, os.ErrDeadlineExceeded
	}
	n, err := s.in.Write(p)
	return n, s.explain(err, s.writes.finish())
}

// explain says of an error what it means for a connection.
func (s *stream) explain(err error, late bool) error {
	switch {
	case err == nil, errors.Is(err, io.EOF):
		return err
	case s.closed.Load():
		return net.ErrClosed
	case late:
		return os.ErrDeadlineExceeded
	}
	return fmt.Errorf("the connection to %s of node %s broke in the tunnel: %w", s.to, s.node, err)
}

// Close ends both directions. What was written before is still delivered.
func (s *stream) Close() error {
	s.once.Do(func() {
		s.closed.Store(true)
		time.AfterFunc(linger, s.end) // where upload never gets that far
		_ = s.in.Close()
		s.reads.set(time.Time{})
		s.writes.set(time.Time{})
	})
	return nil
}

// LocalAddr has no meaning here but must be something.
func (s *stream) LocalAddr() net.Addr { return streamAddr("tunnel") }

// RemoteAddr names the node and the address there.
func (s *stream) RemoteAddr() net.Addr { return streamAddr(s.node + "/" + s.to) }

// SetDeadline bounds reads and writes. A call that it interrupts ends the connection.
func (s *stream) SetDeadline(t time.Time) error {
	s.reads.set(t)
	s.writes.set(t)
	return nil
}

// SetReadDeadline bounds reads.
func (s *stream) SetReadDeadline(t time.Time) error { s.reads.set(t); return nil }

// SetWriteDeadline bounds writes.
func (s *stream) SetWriteDeadline(t time.Time) error { s.writes.set(t); return nil }

type streamAddr string

func (streamAddr) Network() string  { return "tunnel" }
func (a streamAddr) String() string { return string(a) }
