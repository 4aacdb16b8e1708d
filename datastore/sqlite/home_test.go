package sqlite

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/skerry-io/skerry/datastore/engine"
	"github.com/skerry-io/skerry/internal/fault"
)

// large is a batch that is committed to the database at once, if that has time for it.
func large(from int64) (b engine.Batch) {
	for revision := from; revision < from+20; revision++ {
		b.Put = append(b.Put, engine.Record{Revision: revision, Created: revision, Version: 1, Key: "/registry/a", Value: make([]byte, 2000)})
	}
	return b
}

// While the write-ahead log is brought home, commits go to the file of the latest changes; afterwards the log begins anew.
func TestCommitsGoOnWhileTheLogIsBroughtHome(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	db := opened(t, path)
	next := int64(1)
	step := func() {
		t.Helper()
		commit(t, db, large(next))
		if next += 20; len(db.pending) > 0 {
			t.Fatalf("%d changes wait though the log has time", len(db.pending))
		}
	}
	for db.home == nil {
		step()
		if err := db.Settle(t.Context()); err != nil || next > 100_000 {
			t.Fatalf("the log was not brought home, %v", err)
		}
	}
	if err := db.broughtHome(); err != nil {
		t.Fatal(err)
	}
	long := size(t, path+"-wal")
	db.home = make(chan error, 1) // it takes its time
	for range 3 {
		commit(t, db, large(next))
		next += 20
	}
	if len(db.pending) != 60 || size(t, path+"-wal") != long {
		t.Errorf("%d changes wait, and the log has grown by %d", len(db.pending), size(t, path+"-wal")-long)
	}
	crashed := opened(t, copied(t, path))
	if _, found := all(t, crashed); len(found) != int(next)-1 {
		t.Errorf("after a crash there are %d records, want %d", len(found), next-1)
	}
	db.home <- nil
	for range 10 {
		step()
	}
	if grown := size(t, path+"-wal") - long; grown > 0 {
		t.Errorf("the log goes on behind what was brought home, %d bytes", grown)
	}
}

// A transaction that began while the log was brought home does not keep it from being begun anew.
func TestTheLogBeginsAnewAfterATransactionThatBeganEarly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	db := opened(t, path)
	next := int64(1)
	for range 100 {
		commit(t, db, large(next))
		next += 20
	}
	long := size(t, path+"-wal")
	for range 3 {
		db.home = make(chan error, 1) // it takes its time
		commit(t, db, large(next))
		if next += 20; !db.begun {
			t.Fatal("no transaction has begun")
		}
		if _, err := db.reading.ExecContext(t.Context(), "PRAGMA wal_checkpoint(PASSIVE)"); err != nil {
			t.Fatal(err)
		}
		db.home <- nil
		commit(t, db, large(next))
		next += 20
	}
	if grown := size(t, path+"-wal") - long; grown > 0 {
		t.Errorf("the log goes on behind what was brought home, %d bytes", grown)
	}
	if _, found := all(t, db); len(found) != int(next)-1 {
		t.Errorf("there are %d records, want %d", len(found), next-1)
	}
}

// What does not fit into the file of the latest changes waits until the log is in the database.
func TestNothingIsAddedToTheLogOnItsWay(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	db := opened(t, path)
	put(t, db, 1, 3)
	home := make(chan error, 1)
	db.home = home
	log := size(t, path+"-wal")
	go func() {
		time.Sleep(300 * time.Millisecond)
		if now, err := os.Stat(path + "-wal"); err != nil || now.Size() != log {
			t.Error("the log has grown")
		}
		home <- context.Canceled // which is no reason to refuse anything
	}()
	commit(t, db, engine.Batch{Put: []engine.Record{{Revision: 4, Created: 4, Version: 1, Key: "/registry/a", Value: make([]byte, 2*mostEntry)}}})
	if len(db.pending) > 0 || size(t, path+"-wal") == log {
		t.Errorf("%d changes wait", len(db.pending))
	}
}

// A log that grows while it is brought home is waited for.
func TestALogThatGrowsIsWaitedFor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	db := opened(t, path)
	huge := engine.Record{Version: 1, Key: "/registry/a", Value: make([]byte, 1_500_000)}
	for revision := range int64(40) {
		huge.Revision = revision + 1
		commit(t, db, engine.Batch{Put: []engine.Record{huge}})
		if err := db.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if log, err := os.Stat(path + "-wal"); err != nil || log.Size() > walFile {
		t.Errorf("the log has %d bytes, %v", log.Size(), err)
	}
}

// A disk that cannot take all says so before the file gets another name.
func TestWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	db := opened(t, path)
	for i := range int64(50) {
		commit(t, db, large(1+20*i))
	}
	put(t, db, 1001, 1003)
	long := size(t, path)
	full(t, func() {
		if err := db.Whole(t.Context()); err == nil || size(t, path) > long {
			t.Error("it is whole, on a disk that takes nothing")
		}
	})
	path = filepath.Join(t.TempDir(), "y.db")
	db = opened(t, path)
	put(t, db, 1, 3)
	if err := db.Whole(t.Context()); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	alone := filepath.Join(t.TempDir(), "z.db")
	if err == nil {
		err = os.WriteFile(alone, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	holds(t, opened(t, alone), "without what lies beside it", 1, 2, 3)
}

// When the disk fails while the log is brought home, nothing more is written, the log stays, and the next process finds all.
func TestADiskThatFailsWhileTheLogIsBroughtHome(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	db := opened(t, path)
	for i := range int64(80) {
		commit(t, db, large(1+20*i))
	}
	put(t, db, 1601, 1603)
	db.rollBack(t.Context())
	full(t, func() {
		if err := db.Settle(t.Context()); err != nil || db.home == nil {
			t.Fatalf("the log is not brought home, %v", err)
		}
		for db.bringing() {
			time.Sleep(time.Millisecond)
		}
	})
	log := size(t, path+"-wal")
	if _, err := db.Tidy(t.Context()); err == nil {
		t.Error("nobody hears of it when nothing is written")
	}
	for range 3 {
		err := db.Commit(t.Context(), engine.Batch{Put: []engine.Record{record(1604)}})
		var told *fault.Fault
		if !errors.As(err, &told) || told.Cure() == "" || Damaged(err) {
			t.Errorf("a write: %v", err)
		}
		if err := db.Settle(t.Context()); err == nil {
			t.Error("it is tried again")
		}
	}
	if _, found := all(t, db); len(found) != 1603 {
		t.Errorf("%d records can be read", len(found))
	}
	if err := db.Close(); err == nil || size(t, path+"-wal") != log {
		t.Errorf("the end has brought the log home, %v", err)
	}
	crashed := copied(t, path)
	if file, err := CheckLog(t.Context(), crashed); err != nil {
		t.Errorf("%s: %v", file, err)
	}
	if _, found := all(t, opened(t, crashed)); len(found) != 1603 {
		t.Errorf("the next process finds %d records", len(found))
	}
	_ = db.conn.Close()
	_ = db.writing.Close()
}

// full does something while no file can be written to.
func full(t *testing.T, do func()) {
	t.Helper()
	signal.Ignore(unix.SIGXFSZ)
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Max: was.Max}); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &was); err != nil {
			t.Error(err)
		}
	}()
	do()
}
