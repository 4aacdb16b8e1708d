package sqlite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/skerry-io/skerry/datastore/engine"
)

func opened(t *testing.T, path string) *DB {
	t.Helper()
	db, err := Open(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func commit(t *testing.T, db *DB, b engine.Batch) {
	t.Helper()
	if err := db.Commit(t.Context(), b); err != nil {
		t.Fatal(err)
	}
}

func all(t *testing.T, db *DB) (engine.State, []engine.Record) {
	t.Helper()
	var found []engine.Record
	state, err := db.Load(t.Context(), func(r engine.Record) error {
		r.Value = bytes.Clone(r.Value)
		found = append(found, r)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return state, found
}

func TestRecordsComeBackAsTheyWere(t *testing.T) {
	want := []engine.Record{
		{Revision: 3, Created: 3, Version: 1, Key: "/registry/a", Value: []byte("1")},
		{Revision: 4, Created: 3, Version: 2, Lease: 60, Expires: 1 << 41, Key: "/registry/a", Value: []byte{}},
		{Revision: 6, Key: "/registry/ä\x00", Deleted: true, Value: []byte{}},
		{Revision: 1 << 50, Created: 1 << 50, Version: 1, Key: "/registry/large", Value: bytes.Repeat([]byte("v"), 1_500_000)},
	}
	path := filepath.Join(t.TempDir(), "x.db")
	db := opened(t, path)
	commit(t, db, engine.Batch{Put: want, Limit: 100})
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = opened(t, path)
	want[2].Created = 0
	state, got := all(t, db)
	if state.Limit != 100 || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %+v and %d records", state, len(got))
	}
	values, err := db.Values(t.Context(), []int64{1 << 50, 3, 4, 3})
	if err != nil || len(values[0]) != 1_500_000 || string(values[1])+string(values[3]) != "11" || len(values[2]) != 0 {
		t.Errorf("%v", err)
	}
	if _, err := db.Values(t.Context(), []int64{3, 5}); !Damaged(err) {
		t.Errorf("a record that is missing: %v", err)
	}
	commit(t, db, engine.Batch{Drop: []int64{3, 1 << 50}, Compacted: 4})
	if state, got = all(t, db); state.Compacted != 4 || len(got) != 2 {
		t.Errorf("after a drop: %+v, %d records", state, len(got))
	}
}

func TestABatchIsWholeOrNothing(t *testing.T) {
	db := opened(t, filepath.Join(t.TempDir(), "x.db"))
	commit(t, db, engine.Batch{Put: []engine.Record{{Revision: 2, Key: "a"}}})
	err := db.Commit(t.Context(), engine.Batch{Put: []engine.Record{{Revision: 3, Key: "b"}, {Revision: 2, Key: "again"}}})
	if err == nil || Damaged(err) {
		t.Errorf("a revision twice: %v", err)
	}
	if _, got := all(t, db); len(got) != 1 {
		t.Errorf("there are %v", got)
	}
	commit(t, db, engine.Batch{Put: []engine.Record{{Revision: 3, Key: "b"}}})
}

func TestSettingsThatMakeAWriteLast(t *testing.T) {
	db := opened(t, filepath.Join(t.TempDir(), "x.db"))
	for pragma, want := range map[string]string{"synchronous": "2", "journal_mode": "wal", "auto_vacuum": "2"} {
		var got string
		if err := db.conn.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %q, %v; want %q", pragma, got, err, want)
		}
	}
}

// The log stays small under load, and space that was freed goes back when nothing is to do.
func TestFilesStaySmall(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	db := opened(t, path)
	value, drop := bytes.Repeat([]byte("v"), 3000), []int64{}
	for i := range int64(600) {
		b := engine.Batch{}
		for k := range int64(20) {
			revision := i*20 + k + 1
			b.Put, drop = append(b.Put, engine.Record{Revision: revision, Key: "a", Value: value}), append(drop, revision)
		}
		commit(t, db, b)
		if err := db.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if log, err := os.Stat(path + "-wal"); err != nil || log.Size() > walFile {
		t.Errorf("the log has %d bytes, %v", log.Size(), err)
	}
	for part := range slices.Chunk(drop, 500) {
		commit(t, db, engine.Batch{Drop: part, Compacted: part[len(part)-1]})
	}
	for more := true; more; {
		var err error
		if more, err = db.Tidy(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if file, err := os.Stat(path); err != nil || file.Size() > 12<<20 {
		t.Errorf("the empty database has %d bytes, %v", file.Size(), err)
	}
}

// Whatever bit is wrong in a record, it is noticed.
func TestAWrongRecordIsNoticed(t *testing.T) {
	good := encode(nil, &engine.Record{Revision: 300, Created: 200, Version: 7, Lease: 9, Expires: 1 << 40, Key: "/registry/a", Value: []byte("value")})
	if _, err := decode(300, good); err != nil {
		t.Fatal(err)
	}
	if _, err := decode(301, good); !errors.Is(err, ErrDamaged) {
		t.Errorf("under another revision: %v", err)
	}
	for i := range good {
		for bit := range 8 {
			harmed := bytes.Clone(good)
			harmed[i] ^= 1 << bit
			if _, err := decode(300, harmed); !errors.Is(err, ErrDamaged) {
				t.Errorf("bit %d of byte %d: %v", bit, i, err)
			}
		}
		if _, err := decode(300, good[:i]); !errors.Is(err, ErrDamaged) {
			t.Errorf("cut at %d: %v", i, err)
		}
	}
}

func TestAnotherDatabaseIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	other, err := connect(path, "journal_mode(WAL)", 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.ExecContext(t.Context(), "CREATE TABLE theirs(a)"); err != nil {
		t.Fatal(err)
	}
	_ = other.Close()
	if _, err := Open(context.Background(), path, Options{}); !Damaged(err) {
		t.Errorf("got %v", err)
	}
}

// TestCheckLog: damage in the middle of a log is told from what a power cut leaves at its end.
func TestCheckLog(t *testing.T) {
	dir := t.TempDir()
	db := opened(t, filepath.Join(dir, "from.db"))
	for i := range int64(20) {
		commit(t, db, engine.Batch{Put: []engine.Record{{Revision: i + 1, Key: "a", Value: bytes.Repeat([]byte("v"), 1000)}}})
	}
	log, err := os.ReadFile(db.path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "x.db")
	check := func(text []byte) error {
		if err := os.WriteFile(path+"-wal", text, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := CheckLog(t.Context(), path)
		return err
	}
	if err := errors.Join(checkWAL(filepath.Join(dir, "none")), check(nil), check(log)); err != nil {
		t.Errorf("logs that are fine: %v", err)
	}
	const frame = frameHeader + pageSize
	for _, cut := range []int{10, walHeaderSize, walHeaderSize + frame/2, len(log) - 1, len(log) - frame} {
		if err := check(log[:cut]); err != nil {
			t.Errorf("cut off at %d: %v", cut, err)
		}
	}
	torn := bytes.Clone(log)
	torn[len(torn)-100] ^= 1
	if err := check(torn); err != nil {
		t.Errorf("a torn end: %v", err)
	}
	for at := 0; at < len(log)-5*frame; at += 1 + at%7 {
		if in := (at - walHeaderSize) % frame; at > walHeaderSize && in > frameHeader && in%500 > 7 {
			continue // a page is a page
		}
		harmed := bytes.Clone(log)
		harmed[at] ^= 1 << (at % 8)
		if err := check(harmed); !Damaged(err) {
			t.Errorf("damage at %d, in a frame at %d: %v", at, (at-walHeaderSize)%frame, err)
		}
	}
}

// A block that the disk lost, with all that it says of itself, is told as a bit is.
func TestALostBlockOfTheLog(t *testing.T) {
	db := opened(t, filepath.Join(t.TempDir(), "from.db"))
	put(t, db, 1, 3)
	var ends []int64
	for i := range int64(6) {
		commit(t, db, large(4+20*i))
		ends = append(ends, size(t, db.path+"-wal"))
	}
	log, err := os.ReadFile(db.path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "x.db")
	const block = 4096
	for at := (ends[0] + block - 1) / block * block; at+block <= ends[2]; at += block {
		harmed := bytes.Clone(log)
		clear(harmed[at : at+block])
		if err := os.WriteFile(path+"-wal", harmed, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := CheckLog(t.Context(), path); !Damaged(err) {
			t.Errorf("the block at %d is lost: %v", at, err)
		}
	}
}
