package progress

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skerry-io/skerry/internal/run"
)

// services is a group whose states the test sets.
type services struct {
	mu     sync.Mutex // guards what follows
	states []run.State
	stale  chan struct{}
}

func (s *services) Watch() ([]run.State, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.states, s.stale
}

func (s *services) set(states ...run.State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stale != nil {
		close(s.stale)
	}
	s.states, s.stale = states, make(chan struct{})
}

func in(name string, phase run.Phase) run.State { return run.State{Name: name, Phase: phase} }

// screen plays what was written to a terminal of one line and gives the lines that stay, and the last one.
func screen(written string) (lines []string, last string) {
	all := strings.Split(written, "\n")
	for i, line := range all {
		if at := strings.LastIndex(line, clearLine); at >= 0 {
			line = line[at+len(clearLine):]
		}
		if i == len(all)-1 {
			return lines, line
		}
		lines = append(lines, line)
	}
	return lines, ""
}

// follow shows a group of which all but the API server is there, and gives what stood on the screen before and after
// that came, too.
func follow(t *testing.T, d *Display, out *bytes.Buffer) (before, after string) {
	log := slog.New(slog.NewTextHandler(d.Log(), &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	synctest.Test(t, func(t *testing.T) {
		var group services
		group.set(in("port", run.Ready), in("apiserver", run.Starting), in("kubelet", run.Waiting))
		ups := 0
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			d.Follow(t.Context(), &group, time.Now(), log, func() { ups++ })
		}()
		time.Sleep(1700 * time.Millisecond)
		synctest.Wait()
		before = out.String()
		group.set(in("port", run.Ready), in("apiserver", run.Ready), in("kubelet", run.Ready))
		<-ended
		if ups != 1 {
			t.Errorf("up was called %d times", ups)
		}
	})
	return before, out.String()
}

func TestAPipeGetsLogLinesOnly(t *testing.T) {
	var out bytes.Buffer
	before, after := follow(t, New(&out), &out)
	if before != "level=INFO msg=ready service=port after=0.00s\n" {
		t.Errorf("got %q", before)
	}
	want := before + "level=INFO msg=ready service=apiserver after=1.70s\nlevel=INFO msg=ready service=kubelet after=1.70s\nlevel=INFO msg=\"the node is up\" after=1.70s\n"
	if after != want {
		t.Errorf("got %q", after)
	}
}

func TestATerminalShowsWhatIsWaitedForBelowTheLog(t *testing.T) {
	var out bytes.Buffer
	before, after := follow(t, &Display{out: &out, width: func() int { return 80 }}, &out)
	if lines, last := screen(before); len(lines) != 1 || last != "  1.5 s  waiting for apiserver" {
		t.Errorf("got %q and below %q", lines, last)
	}
	lines, last := screen(after)
	if len(lines) != 4 || last != "" {
		t.Errorf("got %q and below %q", lines, last)
	}
	for _, line := range lines {
		if !strings.HasPrefix(line, "level=INFO") {
			t.Errorf("log and status are mixed in %q", line)
		}
	}
}

func TestTheStatusGoesWhenTheStartIsGivenUp(t *testing.T) {
	var out bytes.Buffer
	d := &Display{out: &out, width: func() int { return 80 }}
	synctest.Test(t, func(t *testing.T) {
		var group services
		group.set(in("apiserver", run.Starting))
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		d.Follow(ctx, &group, time.Now(), slog.New(slog.DiscardHandler), func() { t.Error("up was called") })
	})
	if _, last := screen(out.String()); last != "" {
		t.Errorf("%q is left", last)
	}
}

func TestUnready(t *testing.T) {
	paused := run.State{Name: "network", Phase: run.Paused, Err: errors.New("no nft")}
	for name, c := range map[string]struct {
		states []run.State
		want   string
	}{
		"all is ready":                         {[]run.State{in("a", run.Ready)}, ""},
		"who waits is not who is waited for":   {[]run.State{in("a", run.Starting), in("b", run.Waiting)}, "a"},
		"a service that failed says why":       {[]run.State{paused, in("b", run.Waiting)}, "network (no nft)"},
		"nobody starts, so who waits is named": {[]run.State{in("a", run.Ready), in("b", run.Waiting)}, "b"},
		"a stop counts as not ready":           {[]run.State{in("a", run.Stopping)}, "a"},
	} {
		if got := strings.Join(unready(c.states), ","); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func TestFit(t *testing.T) {
	for _, c := range []struct {
		line    string
		columns int
		want    string
	}{
		{"short", 80, "short"}, {"panic: x\nstack", 80, "panic: x"}, {"12345", 5, "1234"}, {"äöüß", 3, "äö"}, {"x", 0, ""},
	} {
		if got := fit(c.line, c.columns); got != c.want {
			t.Errorf("%q in %d columns: got %q", c.line, c.columns, got)
		}
	}
}
