package sqlite

import (
	"context"
	"errors"
	"io"
	"strconv"

	"github.com/skerry-io/skerry/datastore/durable"
	"github.com/skerry-io/skerry/datastore/engine"
)

const (
	// pageSize is SQLite's, in bytes.
	pageSize = 4096
	// mostScratch is how much the writer keeps for the next record, in bytes.
	mostScratch = 256 << 10
)

// Commit writes a batch in one transaction with one sync.
func (db *DB) Commit(ctx context.Context, b engine.Batch) error {
	if b.Limit > 0 && db.options.Beside != "" { // first: a claim that only the database knows would be lost with it
		err := durable.Write(db.options.Beside, func(w io.Writer) error {
			_, err := io.WriteString(w, strconv.FormatInt(b.Limit, 10)+"\n")
			return err
		})
		if err != nil {
			return err
		}
		db.options.Failpoint("sqlite/claimed-beside")
	}
	if _, err := db.conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	err := db.fill(ctx, b)
	if err == nil {
		db.options.Failpoint("sqlite/filled")
		_, err = db.conn.ExecContext(ctx, "COMMIT")
	}
	if err != nil {
		_, undo := db.conn.ExecContext(ctx, "ROLLBACK")
		if undo != nil && err != nil {
			undo = nil // the commit has rolled back by itself
		}
		return errors.Join(err, undo)
	}
	db.options.Failpoint("sqlite/committed")
	return nil
}

func (db *DB) fill(ctx context.Context, b engine.Batch) error {
	bytes := 0
	for i := range b.Put {
		db.scratch = encode(db.scratch[:0], &b.Put[i])
		if _, err := db.insert.ExecContext(ctx, b.Put[i].Revision, db.scratch); err != nil {
			return err
		}
		bytes += len(db.scratch)
	}
	for _, revision := range b.Drop {
		if _, err := db.remove.ExecContext(ctx, revision); err != nil {
			return err
		}
	}
	for name, value := range map[string]int64{"compacted": b.Compacted, "limit": b.Limit} {
		if value == 0 {
			continue
		}
		if _, err := db.state.ExecContext(ctx, name, value); err != nil {
			return err
		}
	}
	if db.pages += bytes/pageSize + len(b.Drop)/8 + 3; cap(db.scratch) > mostScratch {
		db.scratch = nil
	}
	return nil
}

// Settle brings the write-ahead log into the database when it has grown. Readers that are at work leave a part for the
// next time.
func (db *DB) Settle(ctx context.Context) error {
	if db.pages < walPages {
		return nil
	}
	var busy, log, done int
	if err := db.conn.QueryRowContext(ctx, "PRAGMA wal_checkpoint(PASSIVE)").Scan(&busy, &log, &done); err != nil {
		db.pages = 0 // not at once again: the disk may be full
		return err
	}
	if db.pages = log - done; db.pages >= walPages {
		db.pages = walPages / 2 // not at once again
	}
	return nil
}

// Tidy gives pages that are free back to the file system, some at a time, when there are many.
func (db *DB) Tidy(ctx context.Context) (more bool, err error) {
	const (
		atATime = 64
		many    = 1024 // pages; fewer are better kept for what is to come
	)
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
	rows, err := db.conn.QueryContext(ctx, "PRAGMA incremental_vacuum("+strconv.Itoa(atATime)+")")
	if err != nil {
		return false, err
	}
	for rows.Next() { // each row is one page
	}
	db.pages += 2 * atATime
	return true, errors.Join(rows.Err(), rows.Close(), db.Settle(ctx))
}
