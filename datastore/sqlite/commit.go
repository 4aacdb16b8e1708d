package sqlite

import (
	"context"
	"errors"
	"io"
	"strconv"

	"github.com/skerry-io/skerry/datastore/engine"
	"github.com/skerry-io/skerry/internal/durable"
)

const (
	// pageSize is SQLite's, in bytes.
	pageSize = 4096
	// mostDropped is how many records may wait to be removed: until then the room that they take is not free.
	mostDropped = 64
)

// Commit writes a batch: into the file of the latest changes with one sync, or into the database at once when it is large. The open
// transaction has it in both cases, so that what the database would refuse is refused before anything is written.
func (db *DB) Commit(ctx context.Context, b engine.Batch) error {
	if err := db.heard(); db.broken != nil {
		return err
	}
	if err := db.claim(b.Limit); err != nil {
		return err
	}
	if db.journal.full() {
		if err := db.flush(ctx); err != nil {
			return err
		}
	}
	changes, size := changesOf(&b)
	held := len(db.pending)
	db.pending = append(db.pending, changes...)
	err := db.fill(ctx)
	if err == nil {
		db.options.Failpoint("sqlite/filled")
		if size > mostEntry || size > cheapEntry && !db.bringing() {
			db.journal.stamp.number++ // so that entries which follow tell when this is missing
			err = db.flush(ctx)
		} else {
			err = db.note(changes)
		}
	}
	if err != nil {
		clear(db.pending[held:])
		db.pending = db.pending[:held]
		db.rollBack(ctx)
		return err
	}
	db.options.Failpoint("sqlite/committed")
	return nil
}

// claim writes up to which revision some may be given out beside the database: what only the database knows would be lost with it.
func (db *DB) claim(limit int64) error {
	if limit == 0 || db.options.Beside == "" {
		return nil
	}
	err := durable.Write(db.options.Beside, func(w io.Writer) error {
		_, err := io.WriteString(w, strconv.FormatInt(limit, 10)+"\n")
		return err
	})
	if err != nil {
		return err
	}
	db.meter.count(claimSize)
	db.options.Failpoint("sqlite/claimed-beside")
	return nil
}

// note makes changes last, and lets readers find them.
func (db *DB) note(changes []change) error {
	wrote, err := db.journal.add(changes)
	db.meter.count(wrote)
	if err == nil {
		db.fresh.add(changes)
	}
	return err
}

func (db *DB) begin(ctx context.Context) (err error) {
	if !db.begun {
		db.early = db.bringing()
		_, err = db.conn.ExecContext(ctx, "BEGIN IMMEDIATE")
		db.begun = err == nil
	}
	return err
}

// fill brings into the open transaction what it does not have yet.
func (db *DB) fill(ctx context.Context) error {
	if db.filled == len(db.pending) {
		return nil
	}
	if err := db.begin(ctx); err != nil {
		return err
	}
	for ; db.filled < len(db.pending); db.filled++ {
		var err error
		switch c := db.pending[db.filled]; c.kind {
		case isPut:
			_, err = db.insert.ExecContext(ctx, c.number, c.record)
		case isDrop:
			_, err = db.remove.ExecContext(ctx, c.number)
			db.dropped++
		case isCompacted:
			_, err = db.state.ExecContext(ctx, stateCompacted, c.number)
		case isLimit:
			_, err = db.state.ExecContext(ctx, stateLimit, c.number)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// flush commits all that is pending to the database; then the file of the latest changes begins anew.
func (db *DB) flush(ctx context.Context) error {
	if len(db.pending) == 0 && !db.journal.used {
		return nil
	}
	// With a log to which something is added meanwhile SQLite does not sync the database. What hindered it will do so again, and be told.
	_ = db.broughtHome()
	err := db.broken
	if db.early { // the open transaction holds on to the log as it was: a new one can begin it anew
		db.rollBack(ctx)
	}
	if err == nil {
		err = db.begin(ctx)
	}
	if err == nil {
		err = db.fill(ctx)
	}
	if err == nil {
		err = db.journal.stamp.store(ctx, db.conn)
	}
	if err == nil {
		db.options.Failpoint("sqlite/flushing")
		_, err = db.conn.ExecContext(ctx, "COMMIT")
	}
	if err != nil {
		db.rollBack(ctx)
		db.journal.refused()
		return err
	}
	db.begun, db.filled, db.dropped, db.pending, db.grown = false, 0, 0, nil, true
	db.fresh.clear()
	db.meter.log()
	db.options.Failpoint("sqlite/flushed")
	db.journal.restart()
	return nil
}

// rollBack takes back the open transaction; what is pending goes into the next one.
func (db *DB) rollBack(ctx context.Context) {
	if db.begun {
		_, _ = db.conn.ExecContext(ctx, "ROLLBACK") // a commit that was refused has done so by itself
	}
	db.begun, db.filled, db.dropped = false, 0, 0
}

// Settle brings the latest changes into the database when there are many, and begins to do so with the write-ahead log.
func (db *DB) Settle(ctx context.Context) error {
	if err := db.heard(); err != nil {
		return err
	}
	if db.journal.full() || db.dropped >= mostDropped {
		_ = db.flush(ctx) // if that hinders the next commit, it will say so
	}
	if !db.grown || db.begun { // not within a transaction; there will be a time
		return nil
	}
	db.grown = false
	return db.bringHome(ctx)
}

// Tidy gives pages that are free back to the file system, some at a time, when there are many.
func (db *DB) Tidy(ctx context.Context) (more bool, err error) {
	const (
		atATime = 64
		many    = 1024 // pages; fewer are better kept for what is to come
	)
	if err := db.broughtHome(); err != nil {
		return false, err
	}
	if err := db.fill(ctx); err != nil {
		db.rollBack(ctx)
		return false, err
	}
	var free, all int
	if err := db.conn.QueryRowContext(ctx, "PRAGMA freelist_count").Scan(&free); err != nil {
		return false, err
	}
	if err := db.conn.QueryRowContext(ctx, "PRAGMA page_count").Scan(&all); err != nil {
		return false, err
	}
	if free < many || free < all/4 {
		return false, nil
	}
	if err := db.flush(ctx); err != nil {
		return false, err
	}
	rows, err := db.conn.QueryContext(ctx, "PRAGMA incremental_vacuum("+strconv.Itoa(atATime)+")")
	if err != nil {
		return false, err
	}
	for rows.Next() { // each row is one page
	}
	db.grown = true
	db.meter.log()
	return true, errors.Join(rows.Err(), rows.Close(), db.Settle(ctx))
}
