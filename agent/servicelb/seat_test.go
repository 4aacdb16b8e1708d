package servicelb

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skerry-io/skerry/internal/run"
)

// network is hosts that hear each other. Each host has one address of a Service to take, and a hardware address, its name.
type network struct {
	mu    sync.Mutex // guards what follows
	hosts map[string]*fakeHost
}

// fakeHost is a place and a line.
type fakeHost struct {
	net    *network
	mac    string
	claims chan string
	has    bool
	dead   bool // it neither sends nor answers
	told   []string
	seat   *seat

	cancel context.CancelFunc
	ended  chan struct{}
}

func (h *fakeHost) name() string          { return "eth0" }
func (h *fakeHost) hardware() string      { return h.mac }
func (h *fakeHost) present() bool         { h.net.mu.Lock(); defer h.net.mu.Unlock(); return h.has }
func (h *fakeHost) listen() (line, error) { return h, nil }
func (h *fakeHost) add() error            { return h.set(true) }
func (h *fakeHost) remove() error         { return h.set(false) }
func (h *fakeHost) heard() <-chan string  { return h.claims }
func (h *fakeHost) close()                {}

func (h *fakeHost) set(has bool) error {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	h.has = has
	return nil
}

// ask: whoever has the address answers, whether or not a seat is at work there.
func (h *fakeHost) ask() error { return h.others(func(other *fakeHost) { h.hear(other.mac) }, true) }

func (h *fakeHost) announce() error {
	return h.others(func(other *fakeHost) { other.hear(h.mac) }, false)
}

func (h *fakeHost) others(do func(*fakeHost), having bool) error {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	for _, other := range h.net.hosts {
		if other != h && !other.dead && !h.dead && (other.has || !having) {
			do(other)
		}
	}
	return nil
}

func (h *fakeHost) hear(mac string) {
	select {
	case h.claims <- mac:
	default: // it has enough to read
	}
}

// join starts a seat on a host.
func (n *network) join(t *testing.T, mac string, rank int32) *fakeHost {
	h := &fakeHost{net: n, mac: mac, claims: make(chan string, 100)}
	n.mu.Lock()
	if n.hosts == nil {
		n.hosts = map[string]*fakeHost{}
	}
	n.hosts[mac] = h
	n.mu.Unlock()
	h.start(t, rank)
	return h
}

func (h *fakeHost) start(t *testing.T, rank int32) {
	s := &seat{ip: netip.MustParseAddr("192.0.2.10"), log: slog.New(slog.DiscardHandler), find: func(netip.Addr) (place, error) { return h, nil },
		tell: func(_, reason, _ string) { h.told = append(h.told, reason) }}
	s.rank.Store(rank)
	s.soon = make(chan struct{}, 1)
	s.rows = &run.Rows{}
	h.seat = s
	ctx, cancel := context.WithCancel(t.Context())
	h.cancel, h.ended = cancel, make(chan struct{})
	go func() { s.keep(ctx); close(h.ended) }()
}

// stands wants the status to tell this of the address.
func stands(t *testing.T, h *fakeHost, state string, bad bool) {
	t.Helper()
	if told := h.seat.rows.Details(); len(told) != 1 || told[0].State != state || told[0].Bad != bad {
		t.Errorf("the status tells %+v of %s", told, h.mac)
	}
}

// stop ends the seat; the address stays, as when the process ends.
func (h *fakeHost) stop() { h.cancel(); <-h.ended }

// fail is a power cut.
func (h *fakeHost) fail() {
	h.stop()
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	h.has, h.dead = false, true
}

func (n *network) holders() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var all []string
	for mac, h := range n.hosts {
		if h.has {
			all = append(all, mac)
		}
	}
	slices.Sort(all)
	return all
}

func (n *network) held(t *testing.T, when string, by ...string) {
	t.Helper()
	synctest.Wait()
	if got := n.holders(); !slices.Equal(got, by) {
		t.Errorf("%s: held by %q, not %q", when, got, by)
	}
}

func inBubble(t *testing.T, test func(t *testing.T, n *network)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := &network{}
		test(t, n)
		for _, h := range n.hosts {
			h.stop()
		}
	})
}

func TestTheFirstTakesItSoon(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		n.join(t, "b", 1)
		n.join(t, "c", 2)
		a := n.join(t, "a", 0)
		time.Sleep(500 * time.Millisecond)
		n.held(t, "after half a second", "a")
		time.Sleep(time.Hour)
		n.held(t, "after an hour", "a")
		if !slices.Equal(a.told, []string{"AddressAnnounced"}) {
			t.Errorf("people were told %q", a.told)
		}
	})
}

func TestAnotherTakesItWithinFiveSeconds(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		a, b := n.join(t, "a", 0), n.join(t, "b", 1)
		n.join(t, "c", 2)
		time.Sleep(time.Minute)
		a.fail()
		time.Sleep(4 * time.Second)
		n.held(t, "a has no power", "b")
		b.fail()
		time.Sleep(5 * time.Second)
		n.held(t, "b has none too", "c")
	})
}

func TestTwoThatFailTogetherAreReplaced(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		a, b := n.join(t, "a", 0), n.join(t, "b", 1)
		n.join(t, "c", 2)
		time.Sleep(time.Minute)
		b.fail()
		a.fail()
		time.Sleep(5 * time.Second)
		n.held(t, "only c is left", "c")
	})
}

func TestOneThatReturnsDoesNotTakeItBack(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		a := n.join(t, "a", 0)
		n.join(t, "b", 1)
		time.Sleep(time.Minute)
		a.fail()
		time.Sleep(time.Minute)
		n.mu.Lock()
		a.dead = false
		n.mu.Unlock()
		a.start(t, 0)
		time.Sleep(time.Hour)
		n.held(t, "a is back", "b")
	})
}

func TestOneThatLetsGoIsReplacedAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		a, b, c := n.join(t, "a", 0), n.join(t, "b", 1), n.join(t, "c", 2)
		time.Sleep(time.Minute)
		for rank, h := range []*fakeHost{b, c} {
			h.seat.rank.Store(int32(rank))
			h.seat.hurry()
		}
		time.Sleep(100 * time.Millisecond) // the others hear of it first
		a.stop()
		if err := a.seat.release(); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
		n.held(t, "a may no longer", "b")
	})
}

func TestARestartMovesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		a := n.join(t, "a", 0)
		n.join(t, "b", 1)
		time.Sleep(time.Minute)
		a.stop()
		time.Sleep(20 * time.Second)
		n.held(t, "Skerry on a is stopped, the host answers", "a")
		a.start(t, 0)
		time.Sleep(time.Minute)
		n.held(t, "it runs again", "a")
		a.stop()
		time.Sleep(lifetime)
		if err := a.remove(); err != nil { // by the kernel
			t.Error(err)
		}
		time.Sleep(5 * time.Second)
		n.held(t, "its time was over", "b")
		a.start(t, 0)
	})
}

func TestOfTwoOneLetsGo(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		a, b := n.join(t, "a", 0), n.join(t, "b", 1)
		n.mu.Lock()
		a.dead, b.dead = true, true // the cable between them is out
		n.mu.Unlock()
		time.Sleep(time.Minute)
		n.held(t, "apart", "a", "b")
		n.mu.Lock()
		a.dead, b.dead = false, false
		n.mu.Unlock()
		time.Sleep(time.Second)
		n.held(t, "together again", "b")
		time.Sleep(time.Hour)
		n.held(t, "an hour later", "b")
	})
}

func TestWhatAnotherDeviceHasIsNotTaken(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		printer := &fakeHost{net: n, mac: "printer", claims: make(chan string, 100), has: true, cancel: func() {}, ended: make(chan struct{})}
		close(printer.ended)
		n.hosts = map[string]*fakeHost{"printer": printer}
		a, b := n.join(t, "a", 0), n.join(t, "b", 1)
		time.Sleep(time.Hour)
		n.held(t, "a printer has it", "printer")
		if !slices.Equal(a.told, []string{"AddressInUse"}) || len(b.told) > 0 {
			t.Errorf("people were told %q and %q", a.told, b.told)
		}
		stands(t, a, "in use", true)
		stands(t, b, "standing by", false)
		printer.fail()
		time.Sleep(5 * time.Second)
		n.held(t, "the printer is off", "a")
		stands(t, a, "announced", false)
	})
}

func TestTroubleIsTriedAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		h := &fakeHost{net: n, mac: "a", claims: make(chan string, 100), ended: make(chan struct{})}
		n.hosts = map[string]*fakeHost{"a": h}
		fails := 3
		s := &seat{ip: netip.MustParseAddr("192.0.2.10"), log: slog.New(slog.DiscardHandler), tell: func(_, _, _ string) {},
			find: func(netip.Addr) (place, error) {
				if fails--; fails >= 0 {
					return nil, errors.New("no cable")
				}
				return h, nil
			}}
		ctx, cancel := context.WithCancel(t.Context())
		h.cancel = cancel
		go func() { s.keep(ctx); close(h.ended) }()
		time.Sleep(10 * time.Second)
		n.held(t, "the cable is in", "a")
	})
}
