package sqlite

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/skerry-io/skerry/datastore/engine"
)

// Commits that were refused may have left the ends of several transactions behind the one that took their place. When the power cuts that
// one off, it is no damage.
func TestLogsOfRefusedCommits(t *testing.T) {
	base := filepath.Join(t.TempDir(), "x.db")
	db := opened(t, base)
	put(t, db, 1, 3)
	if err := db.flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	kept := size(t, base+"-wal")
	var logs [][]byte
	for _, records := range []int64{150, 90, 40} {
		twin := opened(t, copied(t, base))
		b := engine.Batch{}
		for revision := int64(4); revision < 4+records; revision++ {
			r := record(revision)
			r.Value = bytes.Repeat([]byte{byte(records)}, 1000)
			b.Put = append(b.Put, r)
		}
		commit(t, twin, b)
		log, err := os.ReadFile(twin.path + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		logs = append(logs, log)
	}
	long := bytes.Clone(logs[0])
	copy(long, logs[1])
	last := len(logs[2])
	copy(long, logs[2])
	path := filepath.Join(t.TempDir(), "y.db")
	const frame = frameHeader + pageSize
	for at := int(kept); at < last; at += frame / 8 { // whatever of the last one is torn
		torn := bytes.Clone(long)
		clear(torn[at:min(at+512, last)])
		if err := os.WriteFile(path+"-wal", torn, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := checkWAL(path); err != nil {
			t.Fatalf("torn at %d, in frame %d of %d: %v", at, (at-walHeaderSize)/frame+1, (last-walHeaderSize)/frame, err)
		}
	}
}

// A transaction that changes more than the cache holds stands in the log in order, too: whatever is torn of the last one is no damage.
func TestALargeTransactionThatIsTorn(t *testing.T) {
	base := filepath.Join(t.TempDir(), "x.db")
	db := opened(t, base)
	next := int64(1)
	some := func(count, length int) (b engine.Batch) {
		for range count {
			r := record(next)
			r.Value = bytes.Repeat([]byte{byte(next)}, length)
			b.Put, next = append(b.Put, r), next+1
		}
		return b
	}
	for range 4 {
		commit(t, db, some(1000, 3000))
	}
	if _, err := db.conn.ExecContext(t.Context(), "PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
		t.Fatal(err)
	}
	commit(t, db, some(20, 2000))
	kept := size(t, base+"-wal")
	for range 150 {
		commit(t, db, some(1, 2500))
	}
	drops := engine.Batch{Compacted: 3}
	for _, i := range rand.New(rand.NewPCG(1, 2)).Perm(3900)[:500] {
		drops.Drop = append(drops.Drop, int64(i+1))
	}
	commit(t, db, drops)
	if err := db.flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(base + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	const frame = frameHeader + pageSize
	torn, wrong := 0, 0
	path := filepath.Join(t.TempDir(), "y.db")
	for at := int(kept); at+frame <= len(log); at += 5 * frame {
		log[at+1000] ^= 1
		if err := os.WriteFile(path+"-wal", log, 0o600); err != nil {
			t.Fatal(err)
		}
		log[at+1000] ^= 1
		if torn++; checkWAL(path) != nil {
			wrong++
		}
	}
	if wrong > 0 || torn < 100 {
		t.Errorf("%d of %d torn ends are taken for damage", wrong, torn)
	}
}
