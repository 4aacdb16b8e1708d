package integration

import (
	"io"
	"net"
	"sync"
	"testing"
)

// Bridge is a way to a store that a test can cut.
type Bridge struct {
	to string

	mu     sync.Mutex // guards what follows
	open   map[net.Conn]bool
	paused chan struct{} // is closed when connections may come
}

func newBridge(t testing.TB, at, to string) *Bridge {
	t.Helper()
	listener, err := net.Listen("unix", at)
	if err != nil {
		t.Fatal(err)
	}
	b := &Bridge{to: to, open: map[net.Conn]bool{}, paused: make(chan struct{})}
	close(b.paused)
	t.Cleanup(func() {
		_ = listener.Close()
		b.DropConnections()
	})
	go func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			go b.pass(from)
		}
	}()
	return b
}

func (b *Bridge) pass(from net.Conn) {
	defer from.Close()
	b.mu.Lock()
	paused := b.paused
	b.mu.Unlock()
	<-paused
	to, err := net.Dial("unix", b.to)
	if err != nil {
		return
	}
	defer to.Close()
	b.mu.Lock()
	b.open[from], b.open[to] = true, true
	b.mu.Unlock()
	go func() {
		_, _ = io.Copy(to, from)
		_ = to.Close()
	}()
	_, _ = io.Copy(from, to)
	b.mu.Lock()
	delete(b.open, from)
	delete(b.open, to)
	b.mu.Unlock()
}

// DropConnections cuts what is open.
func (b *Bridge) DropConnections() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for c := range b.open {
		_ = c.Close()
	}
}

// PauseConnections has new connections wait.
func (b *Bridge) PauseConnections() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.paused = make(chan struct{})
}

// UnpauseConnections lets them come.
func (b *Bridge) UnpauseConnections() {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.paused)
}
