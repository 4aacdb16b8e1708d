package tunnel

import (
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// protocol is the websocket subprotocol: HTTP/2 in binary messages, in which the server asks (CONNECT host:port) and the
// node answers. A change that old nodes do not understand gets another number.
const protocol = "skerry-tunnel-1"

// A node may know one server by several URLs, and must not have two tunnels to it, of which each would take the other's
// place. So a server tells its mark when it takes a tunnel, and a node says whose marks it has.
const (
	markHeader = "Skerry-Server"
	haveHeader = "Skerry-Tunnels"
)

const (
	// maxFrame bounds a piece of one connection's data, in bytes. Between two of them others have their turn; a sender
	// keeps a buffer of this size for as long as a connection is open.
	maxFrame = 32 << 10
	// window is how much of one connection's data may be under way, or wait for its reader, in bytes. It bounds the speed
	// of one connection on a long way: at 50 ms to 20 MB/s.
	window = 1 << 20
	// maxStreams bounds the connections in one tunnel; the next one waits for an end.
	maxStreams = 1000
	// allWindows is large enough for all of them, so that full ones do not stop the others.
	allWindows = maxStreams * window
	// writeBuffer is what one websocket message is put together in, where it has to be.
	writeBuffer = maxFrame + 1<<10
)

// pulse says when an end of a tunnel doubts the other.
type pulse struct {
	silence time.Duration // after this long without a sign of life it asks
	answer  time.Duration // and gives the other so long to answer
}

// nodePulse is longer than the pause between two heartbeats of a node, which then are the only thing that an idle tunnel carries.
func nodePulse() pulse { return pulse{silence: 12 * time.Second, answer: 5 * time.Second} }

// serverPulse leaves the asking to the node, while there is one.
func serverPulse() pulse { return pulse{silence: 14 * time.Second, answer: 5 * time.Second} }

// wordPatience is how long a node waits for the answer to a word. Whether the tunnel is dead is for the pulse to say.
const wordPatience = 3 * time.Second

// newBuffers shares write buffers between tunnels: an idle one needs none.
func newBuffers() websocket.BufferPool { return &sync.Pool{} }
