package local

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/skerry-io/skerry/datastore"
	"github.com/skerry-io/skerry/datastore/engine"
	"github.com/skerry-io/skerry/datastore/ramtier"
	"github.com/skerry-io/skerry/datastore/sqlite"
	"github.com/skerry-io/skerry/datastore/sqlitefile"
	"github.com/skerry-io/skerry/datastore/wear"
	"github.com/skerry-io/skerry/internal/durable"
	"github.com/skerry-io/skerry/internal/fault"
)

// The files in the directory.
const (
	databaseFile   = "skerry.db"
	checkpointFile = "short-lived"
	claimFile      = "revisions"
	lockFile       = "lock"
	lossFile       = "losses"
	snapshotFolder = "snapshots"
)

// Config says where the datastore lies and how it is kept.
type Config struct {
	// Dir holds all of its files.
	Dir string
	// CommitInterval is how long an answered write may wait for the disk. With 0 it is answered when the disk has it.
	CommitInterval time.Duration
	// SnapshotInterval is between two snapshots, which are made only when something changed; with 0 there are none.
	SnapshotInterval time.Duration
	// SnapshotCount is how many snapshots are kept.
	SnapshotCount int
	// Lost, if set, is told what was lost by damage lately, at the start.
	Lost func(Loss)
	// DiskOnly keeps short-lived keys on disk too; it is for tests.
	DiskOnly bool
	// Failpoint, if set, is told the names of places where a test can end the process.
	Failpoint func(name string)
	Log       *slog.Logger

	wrote func(bytes int64) // is told what goes to the disk
}

// Open opens or creates the datastore in a directory. The returned function closes it when the requests that are under
// way were answered; call it once nothing uses the store any more.
func Open(ctx context.Context, c Config) (datastore.Store, func(), error) {
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, nil, fault.New("create the database directory").Because(err).Fix("make %s a directory on a disk that can be written", c.Dir)
	}
	unlock, err := lock(c.path(lockFile))
	if err != nil {
		return nil, nil, err
	}
	meter := c.counted()
	c.wrote = meter.Add
	var opened *engine.Engine
	if err = durable.Sweep(c.Dir); err == nil {
		opened, err = openOrHeal(ctx, c)
	}
	if err != nil {
		unlock()
		return nil, nil, err
	}
	for _, l := range c.losses() {
		if c.Lost != nil {
			c.Lost(l)
		}
	}
	keeper := keep(ctx, c, opened)
	return &store{opened, keeper, meter}, func() {
		keeper.end()
		opened.Close()
		if err := c.remember(meter); err != nil {
			c.Log.Warn("what was written today is not remembered", "err", err)
		}
		unlock()
	}, nil
}

// store is an engine with what makes its snapshots.
type store struct {
	*engine.Engine
	keeper *keeper
	meter  *wear.Meter
}

// Renew makes a snapshot of now and removes all others: what they hold shall not come back. Where there are none, and none are
// to be made, it does nothing.
func (s *store) Renew(ctx context.Context) error { return s.keeper.renew(ctx) }

// openOrHeal opens the database. One that is damaged is replaced by its newest snapshot; a log that is damaged is used as
// far as it is whole.
func openOrHeal(ctx context.Context, c Config) (*engine.Engine, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := takeOver(ctx, c); err != nil {
		return nil, err
	}
	file, log := sqlite.CheckLog(ctx, c.path(databaseFile))
	if log != nil && !sqlite.Damaged(log) {
		return nil, sqlitefile.Unusable(c.path(databaseFile), log)
	}
	var kept string
	if log != nil {
		var err error
		if kept, err = c.keepLogs(file); err != nil {
			return nil, err
		}
		if c.behind(ctx) {
			return c.healed(ctx, log)
		}
	}
	opened, err := open(ctx, c)
	if err == nil && log != nil {
		if err := c.mournLog(ctx, opened, kept, log); err != nil {
			return nil, err
		}
		// The end brings home what is whole, only now: rather told twice than never. What is behind the damage would be overwritten bit by
		// bit, and the next look would find it damaged again.
		opened.Close()
		opened, err = open(ctx, c)
	}
	if err == nil || !sqlite.Damaged(err) && !errors.Is(err, errGone) {
		return opened, err
	}
	return c.healed(ctx, err)
}

// healed opens what heal has made.
func (c Config) healed(ctx context.Context, why error) (*engine.Engine, error) {
	if err := c.heal(ctx, why); err != nil {
		return nil, err
	}
	return open(ctx, c)
}

// errGone says that the database is not where it was.
var errGone = errors.New("it is gone")

func open(ctx context.Context, c Config) (*engine.Engine, error) {
	path := c.path(databaseFile)
	if c.lost() {
		return nil, sqlitefile.Unusable(path, errGone)
	}
	disk, err := sqlite.Open(ctx, path, sqlite.Options{Beside: c.path(claimFile), Failpoint: c.Failpoint, Wrote: c.wrote})
	if err != nil {
		return nil, sqlitefile.Unusable(path, err)
	}
	var memory engine.Memory // stays nil, which no *ramtier.Tier is
	if !c.DiskOnly {
		memory = ramtier.New(ramtier.Options{Path: c.path(checkpointFile), Failpoint: c.Failpoint, Log: c.Log})
	}
	opened, err := engine.Open(ctx, disk, memory, engine.Options{Interval: c.CommitInterval, Failpoint: c.Failpoint, Log: c.Log})
	if err != nil {
		return nil, errors.Join(sqlitefile.Unusable(path, err), disk.Close())
	}
	return opened, nil
}

// lock makes sure that no other process uses the directory. The kernel takes the lock away when the process ends.
func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fault.New("lock the database directory").Because(err).Fix("check that the disk is not full or read-only")
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fault.New("%s is in use by another process", filepath.Dir(path)).Because(err).
			Fix("stop the other server, or give this one a data-dir of its own"), f.Close())
	}
	return func() { _ = f.Close() }, nil
}
