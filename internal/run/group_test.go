package run

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// diary records what happened in which order.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) note(line string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, line)
}

func (d *diary) index(line string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Index(d.lines, line)
}

// part notes its start and stop, and is ready after a while.
func (d *diary) part(name string, ready time.Duration, needs ...string) Service {
	return Service{Name: name, Needs: needs, Run: func(ctx context.Context, isReady func()) error {
		d.note("start " + name)
		select {
		case <-time.After(ready):
			isReady()
		case <-ctx.Done():
		}
		<-ctx.Done()
		d.note("stop " + name)
		return nil
	}}
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func mustGroup(t *testing.T, services ...Service) *Group {
	t.Helper()
	g, err := NewGroup(quiet(), services...)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func phase(g *Group, name string) Phase {
	for _, s := range g.States() {
		if s.Name == name {
			return s.Phase
		}
	}
	return ""
}

func TestStartsInParallelAndStopsInReverse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d diary
		g := mustGroup(t, d.part("kubelet", time.Second, "containerd", "apiserver"), d.part("apiserver", 2*time.Second, "store"),
			d.part("containerd", 3*time.Second), d.part("store", time.Second))
		ctx, stop := context.WithCancel(t.Context())
		result := make(chan error, 1)
		go func() { result <- g.Run(ctx) }()

		time.Sleep(2900 * time.Millisecond)
		if got := phase(g, "kubelet"); got != Waiting {
			t.Fatalf("kubelet is %s before containerd is ready", got)
		}
		time.Sleep(2 * time.Second)
		for _, s := range g.States() {
			if s.Phase != Ready {
				t.Fatalf("%s is %s after 5 s: services did not start side by side", s.Name, s.Phase)
			}
		}
		stop()
		if err := <-result; err != nil {
			t.Fatal(err)
		}
		for _, pair := range [][2]string{{"kubelet", "apiserver"}, {"kubelet", "containerd"}, {"apiserver", "store"}} {
			if d.index("stop "+pair[0]) > d.index("stop "+pair[1]) {
				t.Errorf("%s stopped after %s, which it needs: %v", pair[0], pair[1], d.lines)
			}
		}
	})
}

func TestTableErrors(t *testing.T) {
	var d diary
	for name, c := range map[string]struct {
		table []Service
		want  string
	}{
		"an unknown need":      {[]Service{d.part("a", 0, "b")}, "not in the table"},
		"a double name":        {[]Service{d.part("a", 0), d.part("a", 0)}, "twice"},
		"a circle":             {[]Service{d.part("a", 0, "b"), d.part("b", 0, "a")}, "circle"},
		"a service needs self": {[]Service{d.part("a", 0, "a")}, "circle"},
	} {
		if _, err := NewGroup(quiet(), c.table...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

func TestTheEndOfAServiceEndsTheGroup(t *testing.T) {
	cause := errors.New("disk on fire")
	for name, run := range map[string]func(context.Context, func()) error{
		"by an error":          func(context.Context, func()) error { return cause },
		"by returning nothing": func(context.Context, func()) error { return nil },
		"by a panic":           func(context.Context, func()) error { panic("disk on fire") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var d diary
				g := mustGroup(t, d.part("store", 0), Service{Name: "bad", Needs: []string{"store"}, Run: run})
				err := g.Run(t.Context())
				if err == nil || !strings.Contains(err.Error(), "service bad") {
					t.Fatalf("got %v", err)
				}
				if d.index("stop store") < 0 {
					t.Error("the rest was not stopped")
				}
				if phase(g, "bad") != Failed {
					t.Errorf("bad is %s", phase(g, "bad"))
				}
			})
		})
	}
}

func TestBackoffRestartsAndKeepsTheLastError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tries int
		flaky := Service{Name: "flaky", Again: Backoff{Min: time.Second, Max: time.Minute}, Run: func(ctx context.Context, ready func()) error {
			if tries++; tries < 4 {
				return errors.New("not yet")
			}
			ready()
			<-ctx.Done()
			return nil
		}}
		g := mustGroup(t, flaky)
		ctx, stop := context.WithCancel(t.Context())
		result := make(chan error, 1)
		go func() { result <- g.Run(ctx) }()
		time.Sleep(10 * time.Second)
		s := g.States()[0]
		if s.Phase != Ready || s.Restarts != 3 || s.Err == nil {
			t.Errorf("got %+v", s)
		}
		stop()
		if err := <-result; err != nil {
			t.Error(err)
		}
	})
}

func TestAServiceThatWillNotStopIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		g := mustGroup(t, Service{Name: "stubborn", Grace: time.Second, Run: func(_ context.Context, ready func()) error {
			ready()
			<-release
			return nil
		}})
		ctx, stop := context.WithCancel(t.Context())
		stop()
		err := g.Run(ctx)
		close(release)
		if err == nil || !strings.Contains(err.Error(), "stubborn did not stop within 1s") {
			t.Errorf("got %v", err)
		}
	})
}

func TestWatchWakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d diary
		g := mustGroup(t, d.part("a", time.Minute))
		ctx, stop := context.WithCancel(t.Context())
		result := make(chan error, 1)
		go func() { result <- g.Run(ctx) }()
		synctest.Wait()
		_, stale := g.Watch()
		<-stale
		if phase(g, "a") != Ready {
			t.Errorf("woken, but a is %s", phase(g, "a"))
		}
		stop()
		<-result
	})
}

// start runs a group and gives a function that stops it and waits for its error.
func start(t *testing.T, g *Group) (stop func() error) {
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- g.Run(ctx) }()
	return func() error {
		cancel()
		return <-result
	}
}

func TestWhatNeedsAServiceThatNeverGotReadyIsNotStarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d diary
		g := mustGroup(t, d.part("store", time.Hour), d.part("api", 0, "store"), d.part("kubelet", 0, "api"))
		stop := start(t, g)
		time.Sleep(time.Minute)
		for name, want := range map[string][]string{"api": {"store"}, "kubelet": {"api"}} {
			for _, s := range g.States() {
				if s.Name == name && (s.Phase != Waiting || !slices.Equal(s.WaitsFor, want)) {
					t.Errorf("%s: got %+v, want it to wait for %v", name, s, want)
				}
			}
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
		if d.index("start api") >= 0 || d.index("start kubelet") >= 0 {
			t.Errorf("started all the same: %v", d.lines)
		}
		if phase(g, "kubelet") != Stopped {
			t.Errorf("kubelet is %s", phase(g, "kubelet"))
		}
	})
}

func TestAPausedServiceIsStoppedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cause := errors.New("no network")
		g := mustGroup(t, Service{Name: "flaky", Again: Backoff{Min: time.Hour, Max: 2 * time.Hour},
			Run: func(context.Context, func()) error { return cause }})
		stop := start(t, g)
		synctest.Wait()
		if phase(g, "flaky") != Paused {
			t.Fatalf("flaky is %s", phase(g, "flaky"))
		}
		began := time.Now()
		if err := stop(); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("the stop took %s", took)
		}
		if s := g.States()[0]; s.Phase != Stopped || !errors.Is(s.Err, cause) {
			t.Errorf("got %+v", s)
		}
	})
}

func TestAStubbornServiceDoesNotKeepTheOthersFromStopping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d diary
		release := make(chan struct{})
		stubborn := Service{Name: "stubborn", Needs: []string{"store"}, Run: func(_ context.Context, ready func()) error {
			ready()
			<-release
			return nil
		}}
		g := mustGroup(t, d.part("store", 0), stubborn)
		stop := start(t, g)
		synctest.Wait()
		began := time.Now()
		err := stop()
		if err == nil || !strings.Contains(err.Error(), "stubborn did not stop within "+DefaultGrace.String()) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(began); took != DefaultGrace || d.index("stop store") < 0 {
			t.Errorf("after %s: %v", took, d.lines)
		}
		close(release)
	})
}

func TestAnErrorWhileStoppingIsKeptButIsNoFailure(t *testing.T) {
	for name, c := range map[string]struct {
		end, want error
	}{
		"the context's own error is nothing": {context.Canceled, nil},
		"another error":                      {io.ErrUnexpectedEOF, io.ErrUnexpectedEOF},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := mustGroup(t, Service{Name: "a", Run: func(ctx context.Context, ready func()) error {
					ready()
					ready() // a second call does nothing
					<-ctx.Done()
					ready()
					return c.end
				}})
				stop := start(t, g)
				synctest.Wait()
				if err := stop(); err != nil {
					t.Errorf("the group fails: %v", err)
				}
				if s := g.States()[0]; s.Phase != Stopped || !errors.Is(s.Err, c.want) {
					t.Errorf("got %+v", s)
				}
			})
		})
	}
}

func TestALongLifeStartsTheBackoffAfresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var began []time.Time
		first := time.Now()
		g := mustGroup(t, Service{Name: "flaky", Again: Backoff{Min: time.Second, Max: time.Minute}, Run: func(ctx context.Context, _ func()) error {
			began = append(began, time.Now())
			if len(began) == 4 { // the pauses before were 1, 2 and 4 s
				time.Sleep(time.Hour)
			}
			return errors.New("again")
		}})
		stop := start(t, g)
		time.Sleep(2 * time.Hour)
		if err := stop(); err != nil {
			t.Error(err)
		}
		var got []time.Duration
		for _, at := range began[:5] {
			got = append(got, at.Sub(first))
		}
		want := []time.Duration{0, time.Second, 3 * time.Second, 7 * time.Second, time.Hour + 8*time.Second}
		if !slices.Equal(got, want) {
			t.Errorf("started at %v, want %v", got, want)
		}
	})
}

func TestPause(t *testing.T) {
	b := Backoff{Min: time.Second, Max: 10 * time.Second}
	for attempt, want := range map[int]time.Duration{0: time.Second, 1: 2 * time.Second, 3: 8 * time.Second, 4: 10 * time.Second, 1000: 10 * time.Second} {
		if got := b.pause(attempt); got != want {
			t.Errorf("pause %d is %s, want %s", attempt, got, want)
		}
	}
	if got := (Backoff{Max: time.Second}).pause(0); got != 100*time.Millisecond {
		t.Errorf("without Min the first pause is %s", got)
	}
}
