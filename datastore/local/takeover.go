package local

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/skerry-io/skerry/datastore/engine"
	"github.com/skerry-io/skerry/datastore/sqlite"
	"github.com/skerry-io/skerry/datastore/sqlitefile"
	"github.com/skerry-io/skerry/internal/durable"
	"github.com/skerry-io/skerry/internal/fault"
)

const (
	// formerFile is the database of releases that used kine's engine; setAside is added to its name once it is not needed.
	formerFile = "state.db"
	setAside   = ".former"
	// incoming is added to the name of a database that is not whole yet.
	incoming = ".new"
	// atOnce is how many records are copied in one transaction.
	atOnce = 1000
)

// besides are the files that lie beside a database.
func besides() []string { return []string{"", "-wal", "-shm", "-latest"} }

// takeOver brings the database of an earlier release into the form of this one. The old file stays, under another name.
func takeOver(ctx context.Context, c Config) error {
	former, path := filepath.Join(c.Dir, formerFile), filepath.Join(c.Dir, databaseFile)
	if err := removeAll(path + incoming); err != nil { // of a take-over that was cut off
		return err
	}
	if _, err := os.Stat(former); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	switch _, err := os.Stat(path); {
	case errors.Is(err, os.ErrNotExist):
		if err := sqlitefile.Check(former); err != nil {
			return err
		}
		count, err := c.copyFormer(ctx, former, path+incoming)
		if err != nil {
			return fault.New("take over the database %s of an earlier release", former).Because(err).
				Fix("check that the disk has room for a copy; the file was not changed")
		}
		if err := durable.Rename(path+incoming, path); err != nil {
			return err
		}
		c.at("local/renamed")
		c.Log.Info("the database of an earlier release was taken over", "from", former, "to", path, "keys", count)
	case err != nil:
		return err
	}
	return c.putAside(former)
}

func (c Config) at(failpoint string) {
	if c.Failpoint != nil {
		c.Failpoint(failpoint)
	}
}

// putAside renames a database and what SQLite keeps beside it, the database last: as long as it is there, this is done
// again. A former one that was put aside before is not overwritten.
func (c Config) putAside(path string) error {
	aside := path + setAside
	if _, err := os.Stat(aside); err == nil {
		aside += "-" + time.Now().UTC().Format("20060102-150405")
	}
	for _, suffix := range []string{"-shm", "-wal", ""} {
		if err := durable.Rename(path+suffix, aside+suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fault.New("put aside %s", path+suffix).Because(err).Fix("move it away yourself")
		}
	}
	return nil
}

func removeAll(path string) error {
	for _, suffix := range besides() {
		if err := durable.Remove(path + suffix); err != nil {
			return err
		}
	}
	return nil
}

// copyFormer copies every key that exists, with its revisions, and then reads the copy to see that it is whole.
func (c Config) copyFormer(ctx context.Context, from, to string) (count int, err error) {
	rows, last, closeFormer, err := readFormer(ctx, from)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, closeFormer()) }()
	copied, err := sqlite.Open(ctx, to, sqlite.Options{})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, copied.Close()) }()
	count, err = c.copyRecords(ctx, rows, copied)
	if err == nil {
		err = finish(ctx, copied, engine.Batch{Compacted: last})
	}
	if err != nil {
		return 0, err
	}
	c.at("local/copied")
	found := 0
	state, err := copied.Load(ctx, func(engine.Record) error {
		found++
		return nil
	})
	if err == nil && (found != count || state.Compacted != last) {
		err = fmt.Errorf("the copy has %d keys at revision %d, and the original %d at %d", found, state.Compacted, count, last)
	}
	return count, err
}

func (c Config) copyRecords(ctx context.Context, rows *sql.Rows, to *sqlite.DB) (count int, err error) {
	var batch engine.Batch
	for rows.Next() {
		r := engine.Record{Version: 1}
		if err := rows.Scan(&r.Revision, &r.Created, &r.Lease, &r.Key, &r.Value); err != nil {
			return 0, err
		}
		if r.Created == 0 {
			r.Created = r.Revision
		}
		if r.Lease > 0 {
			r.Expires = time.Now().Add(time.Duration(r.Lease) * time.Second).UnixMilli()
		}
		count++
		if batch.Put = append(batch.Put, r); len(batch.Put) == atOnce {
			if err := addTo(ctx, to, batch); err != nil {
				return 0, err
			}
			batch.Put = batch.Put[:0]
		}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return 0, err
	}
	return count, to.Commit(ctx, batch)
}

// addTo commits a batch to a database that is made, and keeps its log short.
func addTo(ctx context.Context, db *sqlite.DB, batch engine.Batch) error {
	if err := db.Commit(ctx, batch); err != nil {
		return err
	}
	return db.Settle(ctx)
}

// finish commits the last batch, and leaves all in the one file.
func finish(ctx context.Context, db *sqlite.DB, batch engine.Batch) error {
	if err := db.Commit(ctx, batch); err != nil {
		return err
	}
	return db.Whole(ctx)
}

// readFormer asks a database of kine's for the keys that exist, in the order of revisions, and for the last revision.
func readFormer(ctx context.Context, path string) (rows *sql.Rows, last int64, done func() error, err error) {
	db, err := sql.Open("sqlite", sqlitefile.URI(path, "_pragma=busy_timeout(5000)"))
	if err != nil {
		return nil, 0, nil, err
	}
	var faults string
	err = db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&faults)
	if err == nil && faults != "ok" {
		err = fmt.Errorf("it is damaged: %s", faults)
	}
	if err == nil {
		err = isFormer(ctx, db)
	}
	if err == nil {
		err = db.QueryRowContext(ctx, `SELECT max(coalesce((SELECT max(id) FROM kine), 0),
			coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'kine'), 0))`).Scan(&last)
	}
	if err == nil {
		rows, err = db.QueryContext(ctx, `SELECT id, iif(created, id, create_revision), coalesce(lease, 0), name, value FROM kine
			WHERE id IN (SELECT max(id) FROM kine GROUP BY name) AND deleted = 0 AND name != 'compact_rev_key' ORDER BY id`)
	}
	if err != nil {
		return nil, 0, nil, errors.Join(err, db.Close())
	}
	return rows, last, db.Close, nil
}

// isFormer refuses what is not kine's. One that was made and never used, because the power went, gets its table.
func isFormer(ctx context.Context, db *sql.DB) error {
	var tables, kine int
	if err := db.QueryRowContext(ctx, "SELECT count(*), coalesce(sum(name = 'kine'), 0) FROM sqlite_schema WHERE type = 'table'").Scan(&tables, &kine); err != nil {
		return err
	}
	if tables > 0 && kine == 0 {
		return errors.New("it is a database of something else")
	}
	_, err := db.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS kine (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT, created INTEGER,
		deleted INTEGER, create_revision INTEGER, prev_revision INTEGER, lease INTEGER, value BLOB, old_value BLOB)`)
	return err
}
