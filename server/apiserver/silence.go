package apiserver

import (
	"net"
	"sync"
)

// silence is a listener to which nobody ever connects. The API server insists on one, takes its port from its address,
// and follows its life when it stops; the connections come through the supervisor's port.
type silence struct {
	port   int
	closed chan struct{}
	once   sync.Once
}

func newSilence(port int) *silence { return &silence{port: port, closed: make(chan struct{})} }

func (s *silence) Accept() (net.Conn, error) {
	<-s.closed
	return nil, net.ErrClosed
}

func (s *silence) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

func (s *silence) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: s.port} }
