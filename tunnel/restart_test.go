package tunnel

import (
	"fmt"
	"log/slog"
	"testing"
	"time"
)

func TestPauses(t *testing.T) {
	for _, c := range []struct {
		n        int
		low, top time.Duration
	}{
		{0, 500 * time.Millisecond, 2 * time.Second},
		{1, 2 * time.Second, 4 * time.Second},
		{2, 4 * time.Second, 8 * time.Second},
		{3, 7500 * time.Millisecond, 15 * time.Second},
		{4, 7500 * time.Millisecond, 15 * time.Second},
		{1000, 7500 * time.Millisecond, 15 * time.Second},
	} {
		if low, top := pause(c.n, 0), pause(c.n, 1); low != c.low || top != c.top {
			t.Errorf("attempt %d waits from %s to %s, want %s to %s", c.n, low, top, c.low, c.top)
		}
	}
}

// 200 nodes lose their server at one moment and come back. How many arrive in which part of the time is what keeps the
// server answering; each arrival is a TLS handshake.
func TestManyNodesComeBack(t *testing.T) {
	leaks(t)
	const nodes = 200
	l := newLab(t)
	address := l.address()
	for i := range nodes {
		c := l.client(fmt.Sprintf("node-%d", i), address)
		real := NewClient(Config{Log: slog.New(slog.DiscardHandler)})
		c.pause, c.pulse = real.pause, real.pulse
		l.run(c)
	}
	all := func() bool { return len(l.tunnels.Tunnels()) == nodes }
	eventually(t, 20*time.Second, "all nodes are there", all)

	l.stop()
	before := l.handshakes.Load()
	l.start(address)
	began := time.Now()
	var peak, last int
	eventually(t, 40*time.Second, "all nodes are back", func() bool {
		now := len(l.tunnels.Tunnels())
		peak, last = max(peak, now-last), now // in 10 ms
		return now == nodes
	})
	took, asked := time.Since(began), l.handshakes.Load()-before
	t.Logf("back after %s with %d handshakes, at most %d in 10 ms", took.Round(time.Millisecond), asked, peak)
	// On a machine that is busy, some do not get through at the first time.
	if asked > 2*nodes {
		t.Errorf("%d nodes asked %d times", nodes, asked)
	}
	if took > 20*time.Second {
		t.Errorf("they took %s", took)
	}
	if peak > nodes/10 {
		t.Errorf("%d came at the same moment", peak)
	}
}
