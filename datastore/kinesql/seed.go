package kinesql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"

	"github.com/skerry-io/skerry/datastore/engine"
	"github.com/skerry-io/skerry/internal/fault"
)

// compactKey is the name of the row in which kine keeps up to where the past is gone.
const compactKey = "compact_rev_key"

// Seed fills a database that holds nothing yet with records in any order. They keep their revisions; where two changes share one, which
// the table cannot, one of them gets another. Revisions go on above state.Revision, and the past before it is gone. When it fails the
// database holds what it did, and at most an empty table more. Servers that start meanwhile wait.
func Seed(ctx context.Context, c Config, state engine.State, all func(each func(engine.Record) error) error) error {
	d, err := c.dialect()
	if err != nil {
		return err
	}
	return c.seed(ctx, d, state, all)
}

func (c Config) seed(ctx context.Context, d *dialect, state engine.State, all func(each func(engine.Record) error) error) (err error) {
	if err := c.prepare(ctx, d); err != nil {
		return err
	}
	db := sql.OpenDB(d.connector)
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := c.vacant(ctx, db); err != nil { // before anybody is held up
		return err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return c.unusable(err)
	}
	if err := c.fill(ctx, d, tx, state, all); err != nil {
		_ = tx.Rollback() // or the end of the connection undoes it
		return err
	}
	if err := tx.Commit(); err != nil {
		return fault.New("know whether %s has kept what was copied", c.Endpoint.Place).Because(err).
			Fix("try again: when it is said to be in use then, and no server uses it, remove the table kine there first")
	}
	return nil
}

// rows is what answers questions, in a transaction or without one.
type rows interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// vacant refuses a database that has something in it.
func (c Config) vacant(ctx context.Context, in rows) error {
	var holds int
	if err := in.QueryRowContext(ctx, "SELECT count(*) FROM kine").Scan(&holds); err != nil {
		return c.unusable(err)
	}
	if holds > 0 {
		return fault.New("%s is in use: its table kine has %d rows", c.Endpoint.Place, holds).Because(fs.ErrExist).
			Fix("name another database, which is made, or remove the table if nobody needs it")
	}
	return nil
}

func (c Config) fill(ctx context.Context, d *dialect, tx *sql.Tx, state engine.State, all func(each func(engine.Record) error) error) error {
	if _, err := tx.ExecContext(ctx, d.hold); err != nil {
		return c.unusable(err)
	}
	if err := c.vacant(ctx, tx); err != nil {
		return err
	}
	insert, err := tx.PrepareContext(ctx, d.insert)
	if err != nil {
		return c.unusable(err)
	}
	defer insert.Close()
	taken, last := map[int64]struct{}{}, state.Revision
	err = all(func(r engine.Record) error {
		if r.Key == compactKey {
			return nil
		}
		if _, twice := taken[r.Revision]; twice || r.Revision > state.Revision {
			last++
			r.Revision = last
		}
		taken[r.Revision] = struct{}{}
		created, from := 0, r.Created
		if r.Created >= r.Revision || r.Created == 0 {
			created, from = 1, 0
		}
		if _, err := insert.ExecContext(ctx, r.Revision, r.Key, created, from, 0, r.Lease, r.Value); err != nil {
			return fmt.Errorf("copy %s into %s: %w", r.Key, c.Endpoint.Place, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	last++ // this row is the last one, so that no revision is given out again
	if _, err := insert.ExecContext(ctx, last, compactKey, 1, 0, last-1, 0, []byte{}); err != nil {
		return c.unusable(err)
	}
	if d.next == "" {
		return nil
	}
	_, err = tx.ExecContext(ctx, d.next, last)
	return err
}
