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
	"github.com/skerry-io/skerry/internal/fault"
)

// The files in the directory.
const (
	databaseFile   = "skerry.db"
	checkpointFile = "short-lived"
	claimFile      = "revisions"
	lockFile       = "lock"
)

// Config says where the datastore lies and how it is kept.
type Config struct {
	// Dir holds all of its files.
	Dir string
	// CommitInterval is how long an answered write may wait for the disk. With 0 it is answered when the disk has it.
	CommitInterval time.Duration
	// DiskOnly keeps short-lived keys on disk too; it is for tests.
	DiskOnly bool
	// Failpoint, if set, is told the names of places where a test can end the process.
	Failpoint func(name string)
	Log       *slog.Logger
}

// Open opens or creates the datastore in a directory. The returned function closes it when the requests that are under
// way were answered; call it once nothing uses the store any more.
func Open(ctx context.Context, c Config) (datastore.Store, func(), error) {
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, nil, fault.New("create the database directory").Because(err).Fix("make %s a directory on a disk that can be written", c.Dir)
	}
	unlock, err := lock(filepath.Join(c.Dir, lockFile))
	if err != nil {
		return nil, nil, err
	}
	opened, err := open(ctx, c)
	if err != nil {
		unlock()
		return nil, nil, err
	}
	return opened, func() {
		opened.Close()
		unlock()
	}, nil
}

func open(ctx context.Context, c Config) (*engine.Engine, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := takeOver(ctx, c); err != nil {
		return nil, err
	}
	path := filepath.Join(c.Dir, databaseFile)
	if err := check(path); err != nil {
		return nil, err
	}
	disk, err := sqlite.Open(ctx, path, sqlite.Options{Beside: filepath.Join(c.Dir, claimFile), Failpoint: c.Failpoint})
	if err != nil {
		return nil, unusable(path, err)
	}
	var memory engine.Memory // stays nil, which no *ramtier.Tier is
	if !c.DiskOnly {
		memory = ramtier.New(ramtier.Options{Path: filepath.Join(c.Dir, checkpointFile), Failpoint: c.Failpoint, Log: c.Log})
	}
	opened, err := engine.Open(ctx, disk, memory, engine.Options{Interval: c.CommitInterval, Failpoint: c.Failpoint, Log: c.Log})
	if err != nil {
		return nil, errors.Join(unusable(path, err), disk.Close())
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

func unusable(path string, err error) error {
	return fault.New("open the database %s", path).Because(err).
		Fix("check that the disk is not full or read-only; a damaged file can be moved aside, which starts an empty cluster")
}
