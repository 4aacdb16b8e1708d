package sqlite

import (
	"context"
	"errors"
	"fmt"

	driver "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/skerry-io/skerry/internal/fault"
)

const (
	// walPages is how far the write-ahead log may grow before it is brought into the database, walMost when commits wait for that.
	walPages, walMost = 1000, 1500
	// walFile is what the log's file is cut to when it was longer for a while, in bytes.
	walFile = 8 << 20
)

// bringHome has the write-ahead log brought into the database when it is long: beside the commits, so that nobody waits for it. Those go to
// the file of the latest changes meanwhile, and what does not fit in waits. So nothing is added to the log, it is in the database as a whole at
// the end, the database is synced, and the next commit to it begins the log anew. Readers that are at work leave a part for the next time.
func (db *DB) bringHome(ctx context.Context) error {
	var busy, log, done int
	err := db.conn.QueryRowContext(ctx, "PRAGMA wal_checkpoint(NOOP)").Scan(&busy, &log, &done)
	if err != nil || log < walPages || log == done {
		return err
	}
	if log < walMost && db.bringing() {
		return nil
	}
	if err = db.broughtHome(); db.broken != nil {
		return err
	}
	home := make(chan error, 1)
	go func() {
		db.meter.checkpoint(uint32(log)) // before: the log is not begun anew yet
		var result [3]int
		home <- db.reading.QueryRowContext(ctx, "PRAGMA wal_checkpoint(PASSIVE)").Scan(&result[0], &result[1], &result[2])
	}()
	if db.home = home; log >= walMost {
		err = errors.Join(err, db.broughtHome())
	}
	return err
}

// bringing says that the log is on its way into the database.
func (db *DB) bringing() bool { return db.home != nil && len(db.home) == 0 }

// broughtHome waits until it is there.
func (db *DB) broughtHome() error {
	if db.home != nil {
		err := <-db.home
		db.home = nil
		if db.judge(err) == nil {
			return err
		}
	}
	return db.broken
}

// heard tells what became of it, if that is known.
func (db *DB) heard() error {
	if db.bringing() {
		return nil
	}
	return db.broughtHome()
}

// judge looks at what bringing the log home has come to. When the disk failed, nothing more is written, and the log is left as it is: the
// kernel tells such an error once and takes the pages for written, so that a second try would succeed and the log, which has the only good
// copy, would be begun anew. A program that starts brings home all of it again.
func (db *DB) judge(err error) error {
	var told *driver.Error
	if db.broken == nil && errors.As(err, &told) && told.Code()&0xff == sqlite3.SQLITE_IOERR {
		db.broken = fault.New("bring the latest changes into the database %s", db.path).Because(err).
			Fix("writes are refused so that nothing is lost: see what the kernel says of the disk (dmesg), then restart skerry")
	}
	return db.broken
}

// Whole brings all into the one file, which can be given another name once it is closed.
func (db *DB) Whole(ctx context.Context) error {
	if err := errors.Join(db.flush(ctx), db.broughtHome()); err != nil {
		return err
	}
	var busy, log, done int
	err := db.conn.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &log, &done)
	if broken := db.judge(err); broken != nil {
		return broken
	}
	if err == nil && busy != 0 {
		err = fmt.Errorf("something else uses %s", db.path)
	}
	return err
}
