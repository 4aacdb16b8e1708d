package sqlite

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/skerry-io/skerry/datastore/engine"
)

// What is counted is what the files have: the log's frames, and each page that is brought into the database.
func TestWhatIsWrittenIsCounted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	var wrote int64
	db, err := Open(t.Context(), path, Options{Wrote: func(n int64) { wrote += n }})
	if err != nil {
		t.Fatal(err)
	}
	if db.meter.index == nil {
		t.Fatal("the log's index is not looked at")
	}
	if err := db.flush(t.Context()); err != nil { // with the key of the latest changes
		t.Fatal(err)
	}
	wrote = 0
	const each = 1536 // a record of 1000 bytes, in sectors, with the head of its entry
	put := func(revision int) {
		record := engine.Record{Revision: int64(revision), Created: 1, Version: 1, Key: "/registry/a", Value: bytes.Repeat([]byte{1}, 1000)}
		if err := db.Commit(t.Context(), engine.Batch{Put: []engine.Record{record}}); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(db.Settle(t.Context()), db.broughtHome()); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 50 {
		put(i + 1)
	}
	if file := size(t, path+latestFile); wrote != 50*each+file || file != 2*ahead {
		t.Errorf("%d bytes were counted, the file of the latest changes has %d", wrote, file)
	}
	wrote = 0
	logged := size(t, path+"-wal")
	if err := db.flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if grown := size(t, path+"-wal") - logged; wrote != grown || wrote < 50_000 {
		t.Errorf("%d bytes were counted, and the log has grown by %d", wrote, grown)
	}
	wrote = 0
	for i := 50; wrote-int64(i-50)*(each+1000) < 2_000_000; i++ { // each goes to both logs, and some day home
		if put(i + 1); i > 10_000 {
			t.Fatalf("nothing was brought into the database; %d bytes were counted", wrote)
		}
	}
	if home := size(t, path); home < 2_000_000 {
		t.Errorf("the database has %d bytes", home)
	}
	put(100_000)
	was := wrote
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if added := wrote - was; added <= 0 || added > 3*mostLatest {
		t.Errorf("the end counts %d bytes", added)
	}
}

func size(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}
