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

// heavy is a batch that goes into the database at once.
func heavy(from int64) (b engine.Batch, revisions []int64) {
	for revision := from; revision < from+150; revision++ {
		b.Put, revisions = append(b.Put, record(revision)), append(revisions, revision)
	}
	return b, revisions
}

// refused makes a database that has three records, and refuses to commit a large batch that follows them, as often as is said. The disk has all of it each time.
func refused(t *testing.T, times int) *DB {
	t.Helper()
	var db *DB
	refuse, path := false, filepath.Join(t.TempDir(), "x.db")
	db, err := Open(t.Context(), path, Options{Failpoint: func(name string) {
		if refuse && name == "sqlite/flushing" {
			if _, err := db.conn.ExecContext(context.Background(), "ROLLBACK"); err != nil {
				t.Error(err)
			}
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	put(t, db, 1, 3)
	if err := db.flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	base := copied(t, path)
	b, _ := heavy(4)
	for range times {
		twin := opened(t, copied(t, base))
		twin.journal.stamp.number = db.journal.stamp.number
		commit(t, twin, b)
		log, err := os.ReadFile(twin.path + "-wal")
		if err == nil {
			err = os.WriteFile(path+"-wal", log, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		refuse = true
		if err := db.Commit(t.Context(), b); err == nil {
			t.Fatal("a commit without a transaction is fine")
		}
		refuse = false
	}
	return db
}

// A commit that was refused may be on the disk. Whatever comes next stands in its place, whole, and revisions that are given out again are
// never there twice.
func TestWhatFollowsARefusedCommit(t *testing.T) {
	for times := 1; times <= 3; times++ {
		check := func(what string, db *DB, want ...int64) {
			t.Helper()
			what = fmt.Sprintf("%s, refused %d times", what, times)
			crashed := copied(t, db.path)
			if file, err := CheckLog(t.Context(), crashed); err != nil {
				t.Errorf("%s: %s: %v", what, file, err)
			}
			again := opened(t, crashed)
			holds(t, again, what, want...)
			commit(t, again, engine.Batch{Put: []engine.Record{record(9000)}})
			if err := again.flush(t.Context()); err != nil {
				t.Errorf("%s: %v", what, err)
			}
			holds(t, opened(t, copied(t, crashed)), what+", later", append(want, 9000)...)
		}
		_, taken := heavy(4)
		check("cut at once", refused(t, times), append([]int64{1, 2, 3}, taken...)...)

		db := refused(t, times)
		put(t, db, 4, 5)
		holds(t, db, "small ones follow", 1, 2, 3, 4, 5)
		check("small ones followed", db, 1, 2, 3, 4, 5)
		put(t, db, 6, 6)
		check("and another", db, 1, 2, 3, 4, 5, 6)

		db = refused(t, times)
		b, more := heavy(5)
		commit(t, db, b)
		check("a large one followed", db, append([]int64{1, 2, 3}, more...)...)

		db = refused(t, times)
		if err := db.Settle(t.Context()); err != nil {
			t.Error(err)
		}
		check("nothing followed but upkeep", db, 1, 2, 3)
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		holds(t, opened(t, db.path), "an end in order", 1, 2, 3)
	}
}

// Values of clients lie in the file as they came. One that looks like entries is never taken for any, nor for a sign of damage.
func TestValuesThatLookLikeEntries(t *testing.T) {
	evil := engine.Record{Revision: 999, Created: 999, Version: 1, Key: "/registry/clusterrolebindings/evil", Value: []byte("x")}
	value := func(key []byte, number uint64, before int) []byte {
		entry := appendEntry(nil, sealer(key), number, []change{{kind: isPut, number: evil.Revision, record: encode(nil, &evil)}}, sector)
		return append(make([]byte, before), bytes.Repeat(entry, 30)...)
	}
	for name, c := range map[string]struct {
		number uint64
		known  bool
	}{"the next": {4, false}, "a later one": {1 << 60, false}, "with the key, the next": {4, true}, "with the key, a later one": {1 << 60, true}} {
		path := filepath.Join(t.TempDir(), "x.db")
		db := opened(t, path)
		put(t, db, 1, 1)
		if err := db.flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		key := make([]byte, keySize)
		if c.known {
			key = db.journal.stamp.key
		}
		about := engine.Record{Revision: 2, Created: 2, Version: 1, Key: "/registry/configmaps/a"}
		for before := range sector { // until its entries begin where sectors do
			about.Value = value(key, c.number, before)
			entry := appendEntry(nil, sealer(key), 2, []change{{kind: isPut, number: 2, record: encode(nil, &about)}}, sector)
			if _, _, _, whole := entryAt(entry[4*sector:], sealer(key)); whole {
				break
			}
		}
		commit(t, db, engine.Batch{Put: []engine.Record{about}})
		if err := db.flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		commit(t, db, engine.Batch{Put: []engine.Record{{Revision: 3, Created: 3, Version: 1, Key: "/registry/b", Value: make([]byte, 2000)}}})
		crashed := copied(t, path)
		_, damage := CheckLog(t.Context(), crashed)
		_, found := all(t, opened(t, crashed))
		taken := slices.ContainsFunc(found, func(r engine.Record) bool { return r.Revision == evil.Revision })
		if c.known != (taken || damage != nil) {
			t.Errorf("%s: taken %v, %v", name, taken, damage)
		}
	}
}

// Without the key, or with a wrong one, the latest changes would look like none: it is told.
func TestAStampThatIsWrong(t *testing.T) {
	good := stamp{number: 7, key: bytes.Repeat([]byte{3}, keySize)}.encode()
	if s, err := parseStamp(good); err != nil || s.number != 7 || s.key[keySize-1] != 3 {
		t.Errorf("%v, %v", s, err)
	}
	for i := range good {
		harmed := bytes.Clone(good)
		harmed[i] ^= 1 << (i % 8)
		if _, err := parseStamp(harmed); !errors.Is(err, ErrDamaged) {
			t.Errorf("byte %d: %v", i, err)
		}
	}
	harm := func(statement string) string {
		path := filepath.Join(t.TempDir(), "x.db")
		db := opened(t, path)
		put(t, db, 1, 3)
		path = copied(t, path)
		other, err := connect(path, "journal_mode(WAL)", 1)
		if err == nil {
			_, err = other.ExecContext(t.Context(), statement)
		}
		if err = errors.Join(err, other.Close()); err != nil {
			t.Fatal(err)
		}
		return path
	}
	if _, err := Open(t.Context(), harm("UPDATE state SET value = 7"), Options{}); !Damaged(err) {
		t.Errorf("a stamp that is none: %v", err)
	}
	if _, err := Open(t.Context(), harm("DELETE FROM state WHERE name = 'latest-16'"), Options{}); !Damaged(err) {
		t.Errorf("a part of it is gone: %v", err)
	}
	for _, gone := range []string{"DELETE FROM state", "DROP TABLE state; DROP TABLE log"} {
		if file, err := CheckLog(t.Context(), harm(gone)); !Damaged(err) || filepath.Base(file) != "x.db"+latestFile {
			t.Errorf("%s: %s: %v", gone, file, err)
		}
	}
}

// A database of a release that did not know of latest changes gets a key with its first commit.
func TestADatabaseWithoutAStamp(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	db := opened(t, path)
	put(t, db, 1, 3)
	if err := db.flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := db.conn.ExecContext(t.Context(), "DELETE FROM state"); err != nil {
		t.Fatal(err)
	}
	path = copied(t, path)
	if err := os.Remove(path + latestFile); err != nil {
		t.Fatal(err)
	}
	db = opened(t, path)
	put(t, db, 4, 5)
	crashed := copied(t, path)
	if file, err := CheckLog(t.Context(), crashed); err != nil {
		t.Errorf("%s: %v", file, err)
	}
	holds(t, opened(t, crashed), "with a key", 1, 2, 3, 4, 5)
}

// A large batch at the end of the write-ahead log that is not what was written looks like a torn end there; the latest changes that follow
// tell that it is missing.
func TestALargeBatchThatIsMissing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	db := opened(t, path)
	put(t, db, 1, 3)
	for from := int64(4); from < 454; from += 150 {
		b, _ := heavy(from)
		commit(t, db, b)
	}
	put(t, db, 454, 454)
	if len(db.pending) != 1 {
		t.Fatalf("%d changes wait", len(db.pending))
	}
	crashed := copied(t, path)
	log, err := os.ReadFile(crashed + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	log[len(log)-2*(frameHeader+pageSize)-700] ^= 1
	if err := os.WriteFile(crashed+"-wal", log, 0o600); err != nil {
		t.Fatal(err)
	}
	if file, err := CheckLog(t.Context(), crashed); !Damaged(err) || file != crashed+latestFile {
		t.Errorf("%s: %v", file, err)
	}
	if _, found := all(t, opened(t, crashed)); len(found) != 303 {
		t.Errorf("%d records are taken, want those before the damage", len(found))
	}
}
