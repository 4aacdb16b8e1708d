package sqlite

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/skerry-io/skerry/datastore/engine"
)

func record(revision int64) engine.Record {
	value := bytes.Repeat([]byte{byte(revision)}, int(revision*7)%1500)
	return engine.Record{Revision: revision, Created: revision, Version: 1, Key: fmt.Sprintf("/registry/%d", revision), Value: value}
}

func put(t *testing.T, db *DB, from, to int64) {
	t.Helper()
	for revision := from; revision <= to; revision++ {
		commit(t, db, engine.Batch{Put: []engine.Record{record(revision)}})
	}
}

// copied is what a crash would leave of a database.
func copied(t *testing.T, path string) string {
	t.Helper()
	dir := t.TempDir()
	for _, suffix := range []string{"", "-wal", latestFile} {
		text, err := os.ReadFile(path + suffix)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "x.db"+suffix), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "x.db")
}

// holds checks that a database has these records and no others, for those who read all and for those who read some.
func holds(t *testing.T, db *DB, what string, revisions ...int64) {
	t.Helper()
	_, found := all(t, db)
	var got []int64
	for _, r := range found {
		if got = append(got, r.Revision); fmt.Sprint(r) != fmt.Sprint(record(r.Revision)) {
			t.Errorf("%s: revision %d is %v", what, r.Revision, r)
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(revisions) {
		t.Errorf("%s: there are %v, want %v", what, got, revisions)
	}
	values, err := db.Values(t.Context(), revisions)
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	for i, value := range values {
		if !bytes.Equal(value, record(revisions[i]).Value) {
			t.Errorf("%s: revision %d has %d bytes", what, revisions[i], len(value))
		}
	}
}

// What was committed is there after a crash, whether the database had it or not, and so is what was removed; a crash in between changes
// nothing.
func TestTheLatestChangesComeBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	db := opened(t, path)
	put(t, db, 1, 3)
	if err := db.flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	put(t, db, 4, 6)
	commit(t, db, engine.Batch{Drop: []int64{2, 5}, Compacted: 5, Limit: 77})
	holds(t, db, "before the crash", 1, 3, 4, 6)
	for i := range 3 {
		path = copied(t, path)
		if file, err := CheckLog(t.Context(), path); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		if newest, err := Newest(t.Context(), path); err != nil || newest != 6 {
			t.Errorf("the newest is %d, %v", newest, err)
		}
		db = opened(t, path)
		holds(t, db, fmt.Sprintf("after crash %d", i), 1, 3, 4, 6)
		if state, _ := all(t, db); state.Limit != 77 || state.Compacted != 5 {
			t.Errorf("%+v", state)
		}
		if i == 1 {
			if err := db.Settle(t.Context()); err != nil || len(db.pending) > 0 {
				t.Errorf("what came back waits: %d, %v", len(db.pending), err)
			}
		}
	}
	put(t, db, 7, 8)
	holds(t, db, "later", 1, 3, 4, 6, 7, 8)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path + latestFile); err == nil {
		t.Error("after an end in order there are latest changes")
	}
	holds(t, opened(t, path), "after an end in order", 1, 3, 4, 6, 7, 8)
}

// The file is used again from its front; what is left of the rounds before is never taken for the latest.
func TestTheFileOfTheLatestChangesIsUsedAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	db := opened(t, path)
	var want []int64
	for revision := range int64(1500) {
		put(t, db, revision+1, revision+1)
		if err := db.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		if want = append(want, revision+1); revision%97 == 0 {
			crashed := copied(t, path)
			if _, err := CheckLog(t.Context(), crashed); err != nil {
				t.Errorf("at %d: %v", revision, err)
			}
			holds(t, opened(t, crashed), fmt.Sprintf("a crash at %d", revision), want...)
		}
	}
	if file := size(t, path+latestFile); file > mostLatest+ahead {
		t.Errorf("the file has %d bytes", file)
	}
}

// A power cut cuts off the end, which is fine; damage before the end is told, and what is before it counts.
func TestDamageOfTheLatestChanges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	db := opened(t, path)
	put(t, db, 1, 20)
	whole, ends := copied(t, path), []int{0}
	text, err := os.ReadFile(whole + latestFile)
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; len(ends) < 21; ends = append(ends, at) {
		_, _, size, _ := entryAt(text[at:], db.journal.seals)
		at += size
	}
	check := func(what string, text []byte, kept int, fine bool) {
		t.Helper()
		if err := os.WriteFile(whole+latestFile, text, 0o600); err != nil {
			t.Fatal(err)
		}
		changes, _, err := latest(whole, stamp{key: db.journal.stamp.key})
		if len(changes) != kept || (err == nil) != fine || err != nil && !Damaged(err) {
			t.Errorf("%s: %d changes, %v; want %d, fine %v", what, len(changes), err, kept, fine)
		}
	}
	for cut := 0; cut <= ends[20]; cut += 100 {
		kept := 0
		for kept < 20 && ends[kept+1] <= cut {
			kept++
		}
		check(fmt.Sprintf("cut off at %d", cut), text[:cut], kept, true)
	}
	for i := range 20 {
		for at := range 40 {
			harmed := bytes.Clone(text)
			harmed[ends[i]+at] ^= 1 << (at % 8)
			check(fmt.Sprintf("entry %d damaged at %d", i, at), harmed, i, i == 19)
		}
	}
}

// Changes that follow others which are not there are not taken, and it is told.
func TestAGapBeforeTheLatestChanges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	db := opened(t, path)
	put(t, db, 1, 3)
	early := copied(t, path)
	if err := db.flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	put(t, db, 4, 6)
	late, err := os.ReadFile(copied(t, path) + latestFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(early+latestFile, late, 0o600); err != nil {
		t.Fatal(err)
	}
	if file, err := CheckLog(t.Context(), early); !Damaged(err) || file != early+latestFile {
		t.Errorf("%s: %v", file, err)
	}
	db = opened(t, early)
	holds(t, db, "a gap")
	put(t, db, 10, 11)
	again := copied(t, early)
	if _, err := CheckLog(t.Context(), again); err != nil {
		t.Errorf("after it was mended: %v", err)
	}
	holds(t, opened(t, again), "mended", 10, 11)
}

// A write that fails is not there later, and neither it nor those before it are in the way of the next.
func TestAWriteThatFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	db := opened(t, path)
	put(t, db, 1, 2)
	if err := db.journal.file.Close(); err != nil {
		t.Fatal(err)
	}
	if err := db.Commit(t.Context(), engine.Batch{Put: []engine.Record{record(3)}}); err == nil {
		t.Fatal("a write to a file that is closed is fine")
	}
	holds(t, db, "after the failure", 1, 2)
	commit(t, db, engine.Batch{Put: []engine.Record{{Revision: 3, Created: 3, Version: 1, Key: record(3).Key, Value: record(3).Value}, record(4)}})
	holds(t, db, "after it was mended", 1, 2, 3, 4)
	holds(t, opened(t, copied(t, path)), "after a crash", 1, 2, 3, 4)
}
