package tunnel

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/skerry-io/skerry/internal/traffic"
)

// speaker runs a node that has a tunnel, and gives how it says words.
func (l *lab) speaker(name string, c *Client) func(word string) (string, error) {
	l.run(c)
	eventually(l.t, 5*time.Second, "there is a tunnel", func() bool { return l.tunnels.Has(name) && len(c.allMarks()) > 0 })
	return func(word string) (string, error) {
		answer, err := c.Say(l.t.Context(), c.config.Servers.URLs()[0], []byte(word))
		return string(answer), err
	}
}

func TestAWordIsAnswered(t *testing.T) {
	leaks(t)
	l := newLab(t)
	l.heard = func(_ context.Context, node string, word []byte) []byte {
		if string(word) == "no?" {
			return nil
		}
		return []byte(node + " " + string(word))
	}
	meter := traffic.NewMeter()
	c := l.client("a", l.address())
	c.config.Traffic = meter
	c.pulse = nodePulse()
	l.tunnels.pulse = serverPulse()
	say := l.speaker("a", c)
	for _, word := range []string{"one", "two", strings.Repeat("x", maxWord-2)} {
		if got, err := say(word); got != "a "+word || err != nil {
			t.Errorf("%s: %q, %v", word, got, err)
		}
	}
	if got, err := say("no?"); got != "" || err != nil {
		t.Errorf("a refusal is %q, %v", got, err)
	}
	if _, err := c.Say(t.Context(), "https://elsewhere", []byte("x")); !errors.Is(err, ErrNoTunnel) {
		t.Errorf("to nobody: %v", err)
	}
	before := meter.Links()[0]
	for range 200 { // more than there are numbers
		if got, err := say("twelve bytes"); got != "a twelve bytes" || err != nil {
			t.Fatalf("%q, %v", got, err)
		}
	}
	after := meter.Links()[0]
	// Encryption adds 22 bytes to each, the websocket 6 and 2, the number one; the connections in the tunnel may say a word or two
	// of their own meanwhile.
	if sent, received := after.Sent-before.Sent, after.Received-before.Received; sent/200 != 22+6+1+12 || received/200 != 22+2+1+14 {
		t.Errorf("a word costs %d bytes, its answer %d", sent/200, received/200)
	}
}

// TestAServerThatIsSlowToAnswer: the tunnel lives on, and a late answer is not taken for the next one's.
func TestAServerThatIsSlowToAnswer(t *testing.T) {
	leaks(t)
	l := newLab(t)
	var slow atomic.Bool
	slow.Store(true)
	l.heard = func(ctx context.Context, _ string, word []byte) []byte {
		if slow.Load() {
			<-ctx.Done() // as a request does that nobody answers
		}
		return word
	}
	c := l.client("a", l.address())
	say := l.speaker("a", c)
	began := time.Now()
	if got, err := say("first"); got != "first" || err != nil || time.Since(began) < hearsFor {
		t.Errorf("after %s: %q, %v", time.Since(began), got, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := c.Say(ctx, c.config.Servers.URLs()[0], []byte("second")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a caller without patience: %v", err)
	}
	slow.Store(false)
	eventually(t, 5*time.Second, "the next word is answered", func() bool {
		got, err := say("third")
		if err == nil && got != "third" {
			t.Fatalf("the answer is %q", got)
		}
		return err == nil
	})
	if n := l.handshakes.Load(); n != 1 {
		t.Errorf("there were %d tunnels", n)
	}
}

// TestAWordWithoutAnAnswer is told from one that takes long, and does not end the tunnel: one lost packet would.
func TestAWordWithoutAnAnswer(t *testing.T) {
	leaks(t)
	l := newLab(t)
	l.heard = func(_ context.Context, _ string, word []byte) []byte { return word }
	link := newSwallower(t, l.address())
	c := l.client("a", link.address)
	c.pulse, l.tunnels.pulse = nodePulse(), serverPulse()
	say := l.speaker("a", c)
	if _, err := say("well?"); err != nil {
		t.Fatal(err)
	}
	link.late.Store(int64(wordPatience + 500*time.Millisecond))
	began := time.Now()
	if _, err := say("well?"); !errors.Is(err, ErrSilent) || time.Since(began) > wordPatience+time.Second {
		t.Errorf("after %s: %v", time.Since(began), err)
	}
	link.late.Store(0)
	time.Sleep(time.Second) // until it has arrived
	if got, err := say("and now?"); got != "and now?" || err != nil {
		t.Errorf("then %q, %v", got, err)
	}
	if n := l.handshakes.Load(); n != 1 {
		t.Errorf("there were %d tunnels", n)
	}
}

// TestADeadLinkWhileWordsAreSaid: they do not keep the pulse from noticing it.
func TestADeadLinkWhileWordsAreSaid(t *testing.T) {
	leaks(t)
	l := newLab(t)
	l.heard = func(_ context.Context, _ string, word []byte) []byte { return word }
	link := newSwallower(t, l.address())
	c := l.client("a", link.address)
	c.pulse, l.tunnels.pulse = pulse{silence: 4 * time.Second, answer: 2 * time.Second}, pulse{silence: time.Hour, answer: time.Hour}
	say := l.speaker("a", c)
	if _, err := say("well?"); err != nil {
		t.Fatal(err)
	}
	link.swallows.Store(true)
	time.Sleep(2 * time.Second)
	if _, err := say("well?"); !errors.Is(err, ErrSilent) {
		t.Errorf("a word in a dead link: %v", err)
	}
	if n := link.connected.Load(); n != 1 {
		t.Errorf("%d tunnels before the pulse has asked", n)
	}
	eventually(t, 3*time.Second, "the node dials again", func() bool { return link.connected.Load() > 1 })
}

// TestSilenceIsNotMeasuredByTheClock of the machine, which may be set back by a day: what counts has to be what cannot be set.
func TestSilenceIsNotMeasuredByTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &line{began: time.Now()}
		time.Sleep(time.Minute)
		l.hear()
		time.Sleep(time.Second)
		if l.quiet() != time.Second || time.Duration(l.heard.Load()) != time.Minute {
			t.Errorf("it is quiet for %v, and was heard after %v", l.quiet(), time.Duration(l.heard.Load()))
		}
	})
}

// TestAFullLinkIsNoDeadOne: a word waits behind what a node sends, for longer than anybody has patience.
func TestAFullLinkIsNoDeadOne(t *testing.T) {
	leaks(t)
	l := newLab(t)
	l.heard = func(_ context.Context, _ string, word []byte) []byte { return word }
	link := newSwallower(t, l.address())
	c := l.client("a", link.address)
	c.pulse = pulse{silence: time.Hour, answer: time.Hour}
	say := l.speaker("a", c)
	conn := l.dial("a", listen(t, func(c net.Conn) { _, _ = io.Copy(c, pseudo(100)) }))
	go func() { _, _ = io.Copy(io.Discard, conn) }()
	link.slow.Store(true)
	time.Sleep(time.Second)
	for range 2 {
		if _, err := say("well?"); err != nil && !errors.Is(err, errLate) {
			t.Errorf("a full link is taken for a dead one: %v", err)
		}
	}
	link.slow.Store(false)
	if n := l.handshakes.Load(); n != 1 {
		t.Errorf("there were %d tunnels", n)
	}
}

// TestOthersThatKnowNoWords: neither an older server nor an older node is troubled by them, and both are known to live.
func TestOthersThatKnowNoWords(t *testing.T) {
	leaks(t)
	l := newLab(t)
	l.tunnels.hears = nil // a websocket's own answer is the same
	c := l.client("a", l.address())
	say := l.speaker("a", c)
	if _, err := say("well?"); !errors.Is(err, ErrNoTunnel) {
		t.Errorf("an older server: %v", err)
	}
	time.Sleep(3 * (quick().silence + quick().answer))
	if n := l.handshakes.Load(); n != 1 {
		t.Errorf("there were %d tunnels", n)
	}
	ws, _, err := l.client("old", l.address()).open(t.Context(), "https://"+l.address())
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	go func() {
		for {
			if _, _, err := ws.NextReader(); err != nil {
				return
			}
		}
	}()
	_ = ws.WriteMessage(websocket.BinaryMessage, []byte("\x00\x00\x00\x04\x00\x00\x00\x00\x00")) // its settings
	time.Sleep(3 * (quick().silence + quick().answer))
	if !l.tunnels.Has("old") {
		t.Error("an older node has lost its tunnel")
	}
}

// TestWordsEndWithTheCertificate: a node whose certificate is over says nothing any more; it comes with a newer one.
func TestWordsEndWithTheCertificate(t *testing.T) {
	leaks(t)
	l := newLab(t)
	l.heard = func(_ context.Context, _ string, word []byte) []byte { return word }
	c := l.client("a", l.address())
	short := l.certificateFor("a", false, 2*time.Second)
	long := c.config.TLS
	var renewed atomic.Bool
	c.config.TLS = func() (*tls.Config, error) {
		config, err := long()
		if !renewed.Load() {
			config.Certificates = []tls.Certificate{short}
		}
		return config, err
	}
	say := l.speaker("a", c)
	if _, err := say("well?"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2500 * time.Millisecond)
	renewed.Store(true)
	if _, err := say("well?"); !errors.Is(err, ErrNoTunnel) {
		t.Errorf("it was heard: %v", err)
	}
	eventually(t, 5*time.Second, "words count again in another tunnel", func() bool {
		_, err := say("well?")
		return err == nil && l.handshakes.Load() == 2
	})
}

// TestNewsOfAServerEndsLongPauses: whoever learns first that it is back tells the others.
func TestNewsOfAServerEndsLongPauses(t *testing.T) {
	leaks(t)
	l := newLab(t)
	c := l.client("a", l.address())
	var asked atomic.Int32
	c.pause = func(attempt int) time.Duration {
		asked.Add(1)
		if attempt == 0 {
			return 50 * time.Millisecond
		}
		return time.Hour
	}
	address := l.address()
	l.stop()
	l.run(c)
	eventually(t, 5*time.Second, "it has tried twice", func() bool { return asked.Load() == 2 })
	l.start(address)
	c.Hurry()
	eventually(t, 5*time.Second, "there is a tunnel", func() bool { return l.tunnels.Has("a") })
}
