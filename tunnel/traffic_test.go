package tunnel

import (
	"crypto/rand"
	"io"
	"testing"
	"time"

	"github.com/skerry-io/skerry/internal/traffic"
)

// TestBothEndsCountTheSame: also when the tunnel was made anew.
func TestBothEndsCountTheSame(t *testing.T) {
	l := newLab(t)
	meter := traffic.NewMeter()
	const much = 100_000
	for round := 1; round <= 2; round++ {
		c := l.client("a", l.address())
		c.config.Traffic = meter
		stop := l.run(c)
		conn := l.dial("a", listen(t, echo))
		go func() { _, _ = io.CopyN(conn, rand.Reader, much) }()
		if _, err := io.CopyN(io.Discard, conn, much); err != nil {
			t.Fatal(err)
		}
		stop()
		var here, there []traffic.Link
		for late := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			here, there = meter.Links(), l.tunnels.Traffic()
			if len(here) == 1 && len(there) == 1 && here[0].Sent == there[0].Received && there[0].Sent >= here[0].Received {
				break // the node has left without reading the last words
			}
			if time.Now().After(late) {
				t.Fatalf("round %d: the node counts %v, the server %v", round, here, there)
			}
		}
		if least := uint64(round * much); here[0].Sent < least || here[0].Received < least || here[0].Sent > least*5/4 {
			t.Errorf("round %d: of %d bytes each way the node counts %v", round, least, here)
		}
		if there[0].Peer != "a" || there[0].Way != traffic.Tunnel || here[0].Peer != l.address() {
			t.Errorf("the node counts %v, the server %v", here, there)
		}
	}
}
