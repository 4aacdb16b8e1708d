package backups

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/skerry-io/skerry/datastore/shelf"
	"github.com/skerry-io/skerry/datastore/vault"
	"github.com/skerry-io/skerry/internal/run"
)

const (
	// settled is how long a start is left alone before a backup is made that was missed.
	settled = 10 * time.Minute
	// retry is when a backup that could not be made is tried again.
	retry = 30 * time.Minute
	// longestSleep is how long a timer runs at most: the clock may be set meanwhile, by years on a board that has none of its own.
	longestSleep = time.Hour
)

// Config says what backups are made of, and when.
type Config struct {
	// Schedule is when, as cron says it, in the time zone of the host.
	Schedule string
	// Retention is how many of them are kept.
	Retention int
	// Cluster is the fingerprint by which those of this cluster are known.
	Cluster string
	// Shelf opens the place that they are put to.
	Shelf func() (shelf.Shelf, error)
	// Put makes one, at a moment, on a shelf.
	Put func(ctx context.Context, on shelf.Shelf, now time.Time) (vault.Result, error)
	// File remembers how the last ones went.
	File string
	// Rows shows that in the status.
	Rows *run.Rows
	// Warn, if set, is told of the first failure in a row.
	Warn func(ctx context.Context, err error) error
	Log  *slog.Logger
}

// Keeper makes backups.
type Keeper struct {
	config  Config
	due     cron.Schedule
	began   time.Time
	history vault.History
}

// New prepares a keeper; the schedule has to be one.
func New(c Config) (*Keeper, error) {
	due, err := cron.ParseStandard(c.Schedule)
	if err != nil {
		return nil, fmt.Errorf("read the schedule of backups: %w", err)
	}
	return &Keeper{config: c, due: due}, nil
}

// Run makes backups until ctx ends.
func (k *Keeper) Run(ctx context.Context, ready func()) error {
	k.began = time.Now()
	var err error
	if k.history, err = vault.ReadHistory(k.config.File); err != nil {
		k.config.Log.Warn("how the last backups went is not known", "err", err)
	}
	k.show()
	ready()
	for {
		next := k.next(time.Now())
		if !k.sleep(ctx, next) {
			return nil
		}
		k.backup(ctx)
	}
}

// sleep waits until a time of the clock, however that moves; false when ctx ends.
func (k *Keeper) sleep(ctx context.Context, until time.Time) bool {
	for {
		left := time.Until(until)
		if left <= 0 {
			return ctx.Err() == nil
		}
		timer := time.NewTimer(min(left, longestSleep))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return false
		}
		if left > longestSleep { // it may be later, or earlier, than it was
			until = k.next(time.Now())
		}
	}
}

// next is when the next backup is due: by the schedule, sooner after a failure, and soon when one was missed. So is the first one:
// what is wrong with the settings shows at once that way.
func (k *Keeper) next(now time.Time) time.Time {
	now = now.Round(0) // what the clock says counts, not how long ago it said something else
	next := k.due.Next(now)
	if k.history.Failing() {
		return earliest(next, after(k.history.Failure.At.Add(retry), now))
	}
	if last := k.history.Success; last == nil || last.At.Before(now) && !k.due.Next(last.At).After(now) {
		return earliest(next, after(k.began.Round(0).Add(settled), now))
	}
	return next
}

// after is a time, or now when it is over.
func after(at, now time.Time) time.Time {
	if at.Before(now) || at.Sub(now) > retry { // the clock was set back
		return now
	}
	return at
}

func earliest(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// backup makes one, and remembers how that went.
func (k *Keeper) backup(ctx context.Context) {
	now := time.Now()
	made, err := k.make(ctx, now)
	if ctx.Err() != nil {
		return // it is neither made nor failed
	}
	if err != nil {
		k.fail(ctx, now, err)
	} else {
		k.history.Made(*made)
		k.config.Log.Info("a backup was made", "name", made.Name, "in", made.Place, "bytes", made.Size, "keys", made.Keys)
	}
	if err := k.history.Save(k.config.File); err != nil {
		k.config.Log.Warn("how the last backup went could not be written down", "err", err)
	}
	k.show()
	debug.FreeOSMemory() // a passphrase takes 64 MB to become a key
}

func (k *Keeper) make(ctx context.Context, now time.Time) (*vault.Success, error) {
	on, err := k.config.Shelf()
	if err != nil {
		return nil, err
	}
	r, err := k.config.Put(ctx, on, now)
	if err != nil {
		return nil, err
	}
	k.prune(ctx, on, r.Name)
	return &vault.Success{At: now.UTC(), Name: r.Name, Place: on.String(), Size: r.Size, Keys: r.Summary.Keys, Revision: r.Manifest.Revision}, nil
}

// prune removes the oldest backups once a new one is there. One that cannot be removed is no failure: the new one is there.
func (k *Keeper) prune(ctx context.Context, on shelf.Shelf, made string) {
	all, err := on.List(ctx)
	for _, item := range shelf.Excess(all, k.config.Cluster, k.config.Retention, made) {
		err = errors.Join(err, on.Remove(ctx, item.Name))
	}
	if err != nil {
		k.config.Log.Warn("old backups could not be removed", "in", on.String(), "err", err)
	}
}

func (k *Keeper) fail(ctx context.Context, now time.Time, err error) {
	first := k.history.Failed(now.UTC(), err)
	k.config.Log.Error("a backup could not be made; it is tried again", "err", err)
	if !first || k.config.Warn == nil {
		return
	}
	if told := k.config.Warn(ctx, err); told != nil {
		k.config.Log.Warn("the failed backup could not be told by an Event", "err", told)
	}
}

// show tells the status of the last backup.
func (k *Keeper) show() {
	if s := k.history.Success; s != nil {
		k.config.Rows.Drop("last backup") // or it would keep the time of the one before
		k.config.Rows.Set(run.Detail{Name: "last backup", State: "made", Since: s.At})
	}
	if f := k.history.Failure; k.history.Failing() {
		k.config.Rows.Set(run.Detail{Name: "backup", State: "failed", Bad: true, Since: f.At, Err: errors.New(f.Why)})
		return
	}
	k.config.Rows.Drop("backup")
}
