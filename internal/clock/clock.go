package clock

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/skerry-io/skerry/internal/version"
)

// System is the machine's clock.
type System struct {
	Now func() time.Time
	// Set sets it, which needs the right to.
	Set func(time.Time) error
	// Known says that somebody keeps it right: NTP, PTP, a receiver.
	Known func() bool
	// Steps calls back each time that somebody sets the clock, until its context ends.
	Steps stepWatch
}

// Config says what is known of the time.
type Config struct {
	// File is the note of the last known time; its content says nothing, its time all.
	File string
	// Beside are files, and directories of files, that are written while the node works. What is newest of them may be later
	// than the note.
	Beside []string
	// Mark lies where a reboot takes it away. It is there while the time is a guess.
	Mark string
	// Keep forbids to set the clock.
	Keep bool
	Log  *slog.Logger
}

const (
	// slack is how far the clock may be behind before it is set, in which certificates and tokens do not notice.
	slack = time.Minute
	// noteEvery is how often the time is noted.
	noteEvery = time.Hour
	// lead is how much later than the note files beside it may be: what is later was written under a clock that was wrong.
	lead = 2 * noteEvery
	// epoch is how long after the first release a time is believed.
	epoch = 40 * 365 * 24 * time.Hour
)

// Clock is the machine's time as this node knows it. Its methods may be called from anywhere.
type Clock struct {
	config Config
	system System

	mu      sync.Mutex // guards what follows
	behind  time.Time  // the last known time, when the clock is before it and stays there
	waiting []chan struct{}
}

// New prepares a clock over the machine's.
func New(c Config, system System) *Clock { return &Clock{config: c, system: system} }

// Begin sets the clock forward to the last known time when it stands before that, and nobody keeps it right. It says whether
// it did.
func (c *Clock) Begin() bool {
	now, floor := c.system.Now(), c.floor()
	if c.system.Known() || !now.Before(floor.Add(-slack)) {
		return false
	}
	if err := c.forward(floor); err != nil {
		c.lag(floor)
		c.config.Log.Warn("this machine's clock stands before the last time that is known, and is not set: certificates and tokens may be refused, and times in logs are wrong",
			"clock", stamp(now), "known", stamp(floor), "cure", "set the clock, or have NTP set it", "err", err)
		return false
	}
	c.config.Log.Warn("this machine's clock stood before the last time that is known, and is set forward to it; NTP, or a server, will say what time it is",
		"clock", stamp(now), "known", stamp(floor), "cure", "a battery for the clock; clock-floor: keep leaves it alone")
	if err := c.guess(true); err != nil {
		c.config.Log.Warn("that the time is a guess will be forgotten when the program starts again", "err", err)
	}
	return true
}

var errKept = errors.New("clock-floor forbids it")

// forward sets the clock.
func (c *Clock) forward(to time.Time) error {
	if c.config.Keep {
		return errKept
	}
	if err := c.system.Set(to); err != nil {
		return fmt.Errorf("set the clock: %w", err)
	}
	return nil
}

// lag notes that the clock stays behind; the zero time that it does not.
func (c *Clock) lag(floor time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.behind = floor
}

// Heard is told what time a server of the cluster says it is. While the time is a guess, that is better.
func (c *Clock) Heard(at time.Time) {
	if !c.guessed() || c.system.Known() {
		return
	}
	now := c.system.Now()
	if at.Before(now.Add(-slack)) || at.After(version.Earliest().Add(epoch)) {
		return // it knows less than this node does
	}
	if at.After(now.Add(slack)) {
		if err := c.forward(at); err != nil {
			return // Begin has told
		}
		c.config.Log.Info("this machine's clock is set to the time of the cluster's server", "before", stamp(now), "now", stamp(at))
	}
	if err := c.guess(false); err != nil {
		c.config.Log.Debug("the mark of a guessed time stays", "err", err)
	}
	c.note(false)
}

// guessed says that the time is the last known one, and nobody has told the right one yet.
func (c *Clock) guessed() bool {
	_, err := os.Stat(c.config.Mark)
	return err == nil
}

func (c *Clock) guess(is bool) error {
	if !is {
		return ignore(os.Remove(c.config.Mark), syscall.ENOENT)
	}
	if err := os.MkdirAll(filepath.Dir(c.config.Mark), 0o755); err != nil {
		return err
	}
	return os.WriteFile(c.config.Mark, nil, 0o600)
}

func ignore(err, kind error) error {
	if errors.Is(err, kind) {
		return nil
	}
	return err
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
