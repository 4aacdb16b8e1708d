package traffic

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
)

// Counter is how many bytes went each way since the process began.
type Counter struct{ sent, received atomic.Uint64 }

// Sent is what left this process, in bytes.
func (c *Counter) Sent() uint64 { return c.sent.Load() }

// Received is what came, in bytes.
func (c *Counter) Received() uint64 { return c.received.Load() }

// The ways that bytes go between a node and a server.
const (
	API    = "api"    // what the node asks the API
	Tunnel = "tunnel" // what the server asks the node
)

// Link is one peer's counts on one way. Its JSON names are part of the interface.
type Link struct {
	Peer     string `json:"peer"` // the node's name on a server, the server's address on a node
	Way      string `json:"way"`
	Sent     uint64 `json:"sentBytes"`
	Received uint64 `json:"receivedBytes"`
}

// Meter has a counter for each peer and way. A nil Meter counts nothing.
type Meter struct {
	mu sync.Mutex // guards by
	by map[[2]string]*Counter
}

// NewMeter has counted nothing yet.
func NewMeter() *Meter { return &Meter{by: map[[2]string]*Counter{}} }

// Of is the counter of a peer on a way; always the same one.
func (m *Meter) Of(peer, way string) *Counter {
	if m == nil {
		return &Counter{}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	key := [2]string{peer, way}
	if m.by[key] == nil {
		m.by[key] = &Counter{}
	}
	return m.by[key]
}

// Links lists the counts by peer, then way.
func (m *Meter) Links() []Link {
	if m == nil {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	list := make([]Link, 0, len(m.by))
	for key, counter := range m.by {
		list = append(list, Link{Peer: key[0], Way: key[1], Sent: counter.Sent(), Received: counter.Received()})
	}
	slices.SortFunc(list, func(a, b Link) int { return cmp.Or(cmp.Compare(a.Peer, b.Peer), cmp.Compare(a.Way, b.Way)) })
	return list
}
