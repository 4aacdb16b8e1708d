package clock

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skerry-io/skerry/internal/version"
)

// board is a machine with a clock of its own, that tests may set.
type board struct {
	t       *testing.T
	dir     string
	mu      sync.Mutex // guards what its clock says, where it runs meanwhile
	at      time.Time
	known   bool
	refuses error
	steps   chan struct{}
	log     bytes.Buffer
}

// today is when most tests happen.
func today() time.Time { return time.Date(2027, time.May, 5, 12, 0, 0, 0, time.UTC) }

func newBoard(t *testing.T) *board {
	return &board{t: t, dir: t.TempDir(), at: today(), steps: make(chan struct{})}
}

func (b *board) file(name string) string { return filepath.Join(b.dir, name) }

// boot starts the program after a reboot, start without one.
func (b *board) boot(change ...func(*Config)) *Clock {
	b.t.Helper()
	if err := os.RemoveAll(b.file("run")); err != nil {
		b.t.Fatal(err)
	}
	return b.start(change...)
}

func (b *board) start(change ...func(*Config)) *Clock {
	c := Config{File: b.file("state/clock"), Beside: []string{b.file("ledger"), b.file("db")}, Mark: b.file("run/guessed"),
		Log: slog.New(slog.NewTextHandler(&b.log, nil))}
	for _, f := range change {
		f(&c)
	}
	return New(c, System{
		Now: func() time.Time {
			b.mu.Lock()
			defer b.mu.Unlock()
			return b.at
		},
		Set: func(to time.Time) error {
			if b.refuses == nil {
				b.at = to
			}
			return b.refuses
		},
		Known: func() bool {
			b.mu.Lock()
			defer b.mu.Unlock()
			return b.known
		},
		Steps: func(ctx context.Context, callback func()) error {
			for {
				select {
				case <-ctx.Done():
					return nil
				case <-b.steps:
					callback()
				}
			}
		},
	})
}

// says has the clock say another time.
func (b *board) says(at time.Time, known bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.at, b.known = at, known
}

// write makes a file that was written at a time.
func (b *board) write(name string, at time.Time) {
	b.t.Helper()
	path := b.file(name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, nil, 0o600), os.Chtimes(path, at, at)); err != nil {
		b.t.Fatal(err)
	}
}

func forbid(c *Config) { c.Keep = true }

func TestAClockIsSetForwardToTheLastKnownTime(t *testing.T) {
	never, note := time.Unix(5, 0), today().Add(-time.Hour)
	for name, c := range map[string]struct {
		clock time.Time
		files map[string]time.Time
		known bool
		want  time.Time
	}{
		"1970, and nothing is known":              {never, nil, false, version.Earliest()},
		"1970":                                    {never, map[string]time.Time{"state/clock": note}, false, note},
		"1970, and a file was written since":      {never, map[string]time.Time{"state/clock": note, "ledger": note.Add(time.Minute)}, false, note.Add(time.Minute)},
		"1970, and one in a folder":               {never, map[string]time.Time{"state/clock": note, "db/wal": note.Add(time.Hour)}, false, note.Add(time.Hour)},
		"1970, and an older one":                  {never, map[string]time.Time{"state/clock": note, "ledger": note.Add(-time.Hour)}, false, note},
		"1970, and one of a clock that was wrong": {never, map[string]time.Time{"state/clock": note, "ledger": note.AddDate(3, 0, 0)}, false, note},
		"1970, and the note is of the far future": {never, map[string]time.Time{"state/clock": note.AddDate(90, 0, 0)}, false, version.Earliest()},
		"1970, and the note is older than Skerry": {never, map[string]time.Time{"state/clock": never}, false, version.Earliest()},
		"files alone say nothing":                 {never, map[string]time.Time{"ledger": note}, false, version.Earliest()},
		"a battery that is empty":                 {time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), map[string]time.Time{"state/clock": note}, false, note},
		"some seconds behind":                     {note.Add(-30 * time.Second), map[string]time.Time{"state/clock": note}, false, note.Add(-30 * time.Second)},
		"right":                                   {today(), map[string]time.Time{"state/clock": note}, false, today()},
		"behind a wrong note, and NTP keeps it":   {today(), map[string]time.Time{"state/clock": note.AddDate(1, 0, 0)}, true, today()},
		"ahead, which nobody here can know":       {today().AddDate(1, 0, 0), map[string]time.Time{"state/clock": note}, false, today().AddDate(1, 0, 0)},
	} {
		b := newBoard(t)
		b.at, b.known = c.clock, c.known
		for file, at := range c.files {
			b.write(file, at)
		}
		did := b.boot().Begin()
		if !b.at.Equal(c.want) || did != !c.want.Equal(c.clock) {
			t.Errorf("%s: it is set to %s: %t, want %s", name, b.at, did, c.want)
		}
		if told := strings.Contains(b.log.String(), "set forward"); told != did {
			t.Errorf("%s: told %q", name, b.log.String())
		}
	}
}

func TestAClockThatMayNotBeSetIsLeftAndTold(t *testing.T) {
	for name, c := range map[string]struct {
		refuses error
		change  func(*Config)
	}{
		"by the user":   {nil, forbid},
		"by the kernel": {syscall.EPERM, func(*Config) {}},
	} {
		b := newBoard(t)
		b.write("state/clock", today())
		b.at, b.refuses = time.Unix(5, 0), c.refuses
		clock := b.boot(c.change)
		if clock.Begin() || !b.at.Equal(time.Unix(5, 0)) || strings.Count(b.log.String(), "level=WARN") != 1 || !strings.Contains(b.log.String(), "cure=") {
			t.Errorf("%s: the clock says %s; told %s", name, b.at, &b.log)
		}
		if details := clock.Details(); len(details) != 1 || !details[0].Bad {
			t.Errorf("%s: the status has %v", name, details)
		}
		clock.note(false)
		if floor := clock.floor(); !floor.Equal(today()) {
			t.Errorf("%s: the last known time became %s", name, floor)
		}
		clock.Heard(today().Add(time.Hour))
		if !b.at.Equal(time.Unix(5, 0)) {
			t.Errorf("%s: a server set it", name)
		}
		b.at, b.known = today().Add(time.Hour), true // by NTP
		if details := clock.Details(); len(details) != 0 {
			t.Errorf("%s: with NTP the status has %v", name, details)
		}
	}
}

func TestAServersTimeIsBetterThanAGuess(t *testing.T) {
	b := newBoard(t)
	b.write("state/clock", today())
	b.at = time.Unix(5, 0)
	clock := b.boot()
	clock.Begin()
	if details := clock.Details(); len(details) != 1 || details[0].State != "guessed" || details[0].Bad {
		t.Errorf("the status has %v", details)
	}
	clock.Heard(today().Add(-24 * time.Hour)) // a server that knows less
	clock.Heard(today().AddDate(80, 0, 0))    // and one that dreams
	if !b.at.Equal(today()) {
		t.Fatalf("it is set to %s", b.at)
	}
	clock = b.start() // again, in the same boot
	if clock.Begin() {
		t.Error("it is set twice")
	}
	clock.Heard(today().Add(40 * time.Hour))
	if !b.at.Equal(today().Add(40*time.Hour)) || len(clock.Details()) != 0 {
		t.Errorf("it says %s, %v", b.at, clock.Details())
	}
	if floor := clock.floor(); !floor.Equal(b.at) {
		t.Errorf("the note says %s", floor)
	}
	clock.Heard(today().Add(80 * time.Hour)) // it is known by now
	if !b.at.Equal(today().Add(40 * time.Hour)) {
		t.Errorf("a clock that is no guess was set to %s", b.at)
	}
}

func TestAClockThatIsKeptRightIsNotAGuess(t *testing.T) {
	b := newBoard(t)
	b.at = time.Unix(5, 0)
	clock := b.boot()
	clock.Begin()
	b.known = true
	clock.Heard(today().Add(time.Hour))
	if !b.at.Equal(version.Earliest()) {
		t.Error("a server set a clock that NTP keeps")
	}
}

// runs runs a clock in a bubble, whose time it has.
func (b *board) runs(c *Clock) (stop func()) {
	ctx, cancel := context.WithCancel(b.t.Context())
	ended := make(chan error, 1)
	ready := make(chan struct{})
	go func() { ended <- c.Run(ctx, func() { close(ready) }) }()
	<-ready
	return func() {
		cancel()
		if err := <-ended; err != nil {
			b.t.Error(err)
		}
	}
}

func TestTheTimeIsNotedEachHourAndAtTheEnd(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := &board{t: t, dir: dir, at: today(), steps: make(chan struct{})}
		c := b.start()
		if c.Begin() {
			t.Error("it was set")
		}
		stop := b.runs(c)
		if at, ok := c.noted(); !ok || !at.Equal(today()) {
			t.Errorf("at the start %s", at)
		}
		b.says(today().Add(30*time.Minute), false)
		time.Sleep(30 * time.Minute)
		if at, _ := c.noted(); !at.Equal(today()) {
			t.Errorf("half an hour later %s", at)
		}
		b.says(today().Add(time.Hour), false)
		time.Sleep(31 * time.Minute)
		if at, _ := c.noted(); !at.Equal(b.at) {
			t.Errorf("an hour later %s", at)
		}
		b.says(today().Add(61*time.Minute), false)
		stop()
		if at, _ := c.noted(); !at.Equal(b.at) {
			t.Errorf("at the end %s", at)
		}
	})
}

func TestAClockThatSomebodySetsIsBelieved(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := &board{t: t, dir: dir, at: today().AddDate(3, 0, 0), steps: make(chan struct{})} // the clock was wrong
		c := b.start()
		told := c.Stepped()
		stop := b.runs(c)
		b.write("ledger", b.at)
		b.says(today(), false) // somebody puts it right
		b.steps <- struct{}{}
		<-told
		stop()
		if floor := c.floor(); !floor.Equal(today()) {
			t.Errorf("the last known time is %s", floor)
		}
		again := b.boot()
		if b.at = today().Add(time.Hour); again.Begin() {
			t.Errorf("it is set to %s", b.at)
		}
	})
}

func TestAGuessEndsWhenNTPHasTheTime(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := &board{t: t, dir: dir, at: time.Unix(5, 0), steps: make(chan struct{})}
		c := b.boot()
		c.Begin()
		stop := b.runs(c)
		b.says(today(), true)
		b.steps <- struct{}{}
		synctest.Wait()
		if c.guessed() || len(c.Details()) != 0 {
			t.Errorf("it is a guess: %v", c.Details())
		}
		stop()
		if floor := c.floor(); !floor.Equal(today()) {
			t.Errorf("the last known time is %s", floor)
		}
	})
}

func TestANoteThatCannotBeWrittenStopsNobody(t *testing.T) {
	b := newBoard(t)
	b.write("state", today()) // a file in the place of the folder
	c := b.boot()
	c.Begin()
	c.note(false)
	if strings.Contains(b.log.String(), "level=WARN") {
		t.Errorf("told %s", &b.log)
	}
}

// The machine's own clock is only read.
func TestTheKernelsClock(t *testing.T) {
	system := Kernel()
	if time.Since(system.Now()).Abs() > time.Second {
		t.Error("it is another time")
	}
	t.Logf("the clock is kept right: %t", system.Known())
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- system.Steps(ctx, func() { t.Error("the clock was set") }) }()
	select {
	case err := <-ended:
		t.Fatalf("it does not wait: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	stop()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("it waits on")
	}
}
