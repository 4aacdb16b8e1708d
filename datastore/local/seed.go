package local

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"github.com/skerry-io/skerry/datastore/engine"
	"github.com/skerry-io/skerry/datastore/sqlite"
	"github.com/skerry-io/skerry/internal/durable"
	"github.com/skerry-io/skerry/internal/fault"
)

// Seed makes the database of a directory that holds nothing yet, out of records in any order. They keep their revisions; where
// two changes share one, which the log cannot, one of them gets another. Revisions go on above state.Revision, and the past
// before it is gone. When it fails the directory is as it was.
func Seed(ctx context.Context, c Config, state engine.State, all func(each func(engine.Record) error) error) (err error) {
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return fault.New("create the database directory").Because(err).Fix("make %s a directory on a disk that can be written", c.Dir)
	}
	unlock, err := lock(c.path(lockFile))
	if err != nil {
		return err
	}
	defer unlock()
	path := c.path(databaseFile)
	if err := removeAll(path + incoming); err != nil { // of a Seed that was cut off
		return err
	}
	if err := c.unused(); err != nil {
		return err
	}
	if err := fill(ctx, path+incoming, state, all); err != nil {
		return errors.Join(err, removeAll(path+incoming))
	}
	c.at("local/seeded")
	return durable.Rename(path+incoming, path)
}

// unused refuses a directory that holds anything: what a database leaves beside it, snapshots for one, would come back into
// another.
func (c Config) unused() error {
	entries, err := os.ReadDir(c.Dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.Name() != lockFile {
			return fault.New("%s is in use: it holds %s", c.Dir, entry.Name()).Because(fs.ErrExist).Fix("move the directory aside first")
		}
	}
	return nil
}

// fill writes records into a new database.
func fill(ctx context.Context, path string, state engine.State, all func(each func(engine.Record) error) error) (err error) {
	db, err := sqlite.Open(ctx, path, sqlite.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var batch engine.Batch
	taken, last := map[int64]struct{}{}, state.Revision
	err = all(func(r engine.Record) error {
		if _, twice := taken[r.Revision]; twice || r.Revision > state.Revision {
			last++
			r.Revision = last
		}
		taken[r.Revision] = struct{}{}
		r.Created = min(r.Created, r.Revision)
		if batch.Put = append(batch.Put, r); len(batch.Put) < atOnce {
			return nil
		}
		err := errors.Join(ctx.Err(), addTo(ctx, db, batch))
		batch.Put = batch.Put[:0]
		return err
	})
	if err != nil {
		return err
	}
	batch.Compacted, batch.Limit = last, last
	return finish(ctx, db, batch)
}
