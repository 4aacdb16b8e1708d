package local_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/skerry-io/skerry/datastore"
	"github.com/skerry-io/skerry/datastore/local"
	"github.com/skerry-io/skerry/internal/fault"
)

// step is how much longer each value is than the one before it; all of a round is more than what is brought into the database at a time.
const step = 30

// damaged is a directory in which a database was used: first keys that are in a snapshot, then keys that are not. The
// process was cut off, so there is a write-ahead log.
func damaged(t *testing.T) (dir string, last int64) {
	t.Helper()
	from, dir := t.TempDir(), t.TempDir()
	store, done, err := local.Open(t.Context(), local.Config{Dir: from, SnapshotInterval: 30 * time.Millisecond, SnapshotCount: 3, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	for round := range 2 {
		for i := range 400 {
			if last, err = store.Create(t.Context(), fmt.Sprintf("/registry/pods/%d-%03d", round, i), []byte(strings.Repeat("v", i*step)), 0); err != nil {
				t.Fatal(err)
			}
		}
		if round == 0 {
			waitFor(t, "a snapshot of all that is there", func() bool {
				found, _ := filepath.Glob(filepath.Join(from, "snapshots", fmt.Sprintf("%d-*.zst", last)))
				return len(found) > 0
			})
			if err := os.Rename(filepath.Join(from, "snapshots"), filepath.Join(dir, "snapshots")); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, name := range []string{"skerry.db", "skerry.db-wal", "skerry.db-latest", "revisions"} {
		text, err := os.ReadFile(filepath.Join(from, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir, last
}

func waitFor(t *testing.T, what string, is func() bool) {
	t.Helper()
	for until := time.Now().Add(20 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal("it never came: " + what)
		}
	}
}

// healed opens a directory, and gives what it says was lost.
func healed(t *testing.T, dir string) (store datastore.Store, lost []local.Loss, done func()) {
	t.Helper()
	store, done, err := local.Open(t.Context(), local.Config{Dir: dir, SnapshotCount: 3, Log: slog.New(slog.DiscardHandler),
		Lost: func(l local.Loss) { lost = append(lost, l) }})
	if err != nil {
		t.Fatal(err)
	}
	return store, lost, done
}

// missing counts the keys of a round that are not there; what is there must be as it was written.
func missing(t *testing.T, store datastore.Store, round int) (count int) {
	t.Helper()
	for i := range 400 {
		key := fmt.Sprintf("/registry/pods/%d-%03d", round, i)
		_, kv, err := store.Get(t.Context(), key, 0, false)
		switch {
		case err != nil:
			t.Fatalf("%s: %v", key, err)
		case kv == nil:
			count++
		case string(kv.Value) != strings.Repeat("v", i*step):
			t.Fatalf("%s is not what was written", key)
		}
	}
	return count
}

// TestDamage: bits flip and files are cut off anywhere. Whatever it is, the datastore starts, nothing that it gives is
// wrong, what the snapshot has is there, and what is missing was told.
func TestDamage(t *testing.T) {
	base, last := damaged(t)
	for i := range 90 {
		name := []string{"skerry.db", "skerry.db-wal", "skerry.db-latest"}[i%3]
		t.Run(fmt.Sprintf("%s %d", name, i), func(t *testing.T) {
			dir := t.TempDir()
			if err := os.CopyFS(dir, os.DirFS(base)); err != nil {
				t.Fatal(err)
			}
			cut := i%10 == 0 && name == "skerry.db"
			late := harm(t, filepath.Join(dir, name), cut)
			store, lost, done := healed(t, dir)
			defer done()
			first, second := missing(t, store, 0), missing(t, store, 1)
			if first > 0 {
				t.Errorf("%d keys that are in the snapshot are gone", first)
			}
			if late && name != "skerry.db" && second <= 1 {
				return // damage of the last transaction looks like a write that the power cut off
			}
			if second > 0 && (len(lost) != 1 || lost[0].From > last || lost[0].To < last) {
				t.Errorf("%d keys are gone up to revision %d, and it says %v", second, last, lost)
			}
			if second == 0 && len(lost) > 0 {
				t.Logf("nothing is gone, and it says %v", lost)
			}
			if next, err := store.Create(t.Context(), "/registry/next", nil, 0); err != nil || next <= last {
				t.Errorf("revision %d follows %d, %v", next, last, err)
			}
			for _, l := range lost {
				if _, err := os.Stat(l.Kept); err != nil {
					t.Errorf("the damaged file is not kept: %v", err)
				}
			}
		})
	}
}

// harm flips a bit anywhere in a file, or cuts it off. It says whether that is near the end of what it holds.
func harm(t *testing.T, path string, cut bool) (late bool) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	end := len(text)
	switch {
	case strings.HasSuffix(path, "-wal"):
		end = endOfLog(text)
	case strings.HasSuffix(path, "-latest"):
		end = endOfLatest(text)
	}
	at := rand.IntN(len(text))
	if cut {
		text = text[:at]
	} else {
		text[at] ^= 1 << rand.IntN(8)
	}
	t.Logf("at %d of %d, end %d, cut %v", at, len(text), end, cut)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return at > end-5*frameSize
}

// frameSize is the length of a page in a write-ahead log with the header before it.
const frameSize = 24 + 4096

// endOfLog is where a write-ahead log ends: SQLite begins it anew at the front once all was brought home, with another salt,
// and what is behind that is of the round before.
func endOfLog(log []byte) int {
	end := 32
	for salt := string(log[16:24]); end+frameSize <= len(log) && string(log[end+8:end+16]) == salt; end += frameSize {
	}
	return end
}

// endOfLatest is where the latest changes end: what is behind has other numbers.
func endOfLatest(text []byte) (end int) {
	for last := uint64(0); end+32 <= len(text); {
		number, size := binary.LittleEndian.Uint64(text[end+16:]), int(binary.LittleEndian.Uint32(text[end+28:]))
		if last > 0 && number != last+1 {
			break
		}
		last, end = number, end+size
	}
	return end
}

// TestALogDamagedBeforeTheSnapshot: what the latest changes have lost, the snapshot may have.
func TestALogDamagedBeforeTheSnapshot(t *testing.T) {
	const keys, sector = 50, 512
	for _, damage := range []int{0, 5, 40} {
		from, dir := t.TempDir(), t.TempDir()
		store, done, err := local.Open(t.Context(), local.Config{Dir: from, SnapshotInterval: 30 * time.Millisecond, SnapshotCount: 3, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		last := int64(0)
		for i := range keys {
			if last, err = store.Create(t.Context(), fmt.Sprintf("/registry/pods/0-%03d", i), []byte(strings.Repeat("v", i*5)), 0); err != nil {
				t.Fatal(err)
			}
		}
		waitFor(t, "a snapshot of all that is there", func() bool {
			found, _ := filepath.Glob(filepath.Join(from, "snapshots", fmt.Sprintf("%d-*.zst", last)))
			return len(found) > 0
		})
		if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
		done()
		log := filepath.Join(dir, "skerry.db-latest")
		text, err := os.ReadFile(log)
		if err != nil || endOfLatest(text) < (keys-2)*sector {
			t.Fatal(len(text), err)
		}
		text[damage*sector+40] ^= 1
		if err := os.WriteFile(log, text, 0o600); err != nil {
			t.Fatal(err)
		}
		store, lost, done := healed(t, dir)
		for i := range keys {
			if _, kv, err := store.Get(t.Context(), fmt.Sprintf("/registry/pods/0-%03d", i), 0, false); err != nil || kv == nil {
				t.Errorf("damage in entry %d: key %d is gone, which is in the snapshot (%v)", damage, i, err)
			}
		}
		if len(lost) != 1 || lost[0].Used == "" {
			t.Errorf("damage in entry %d: it says %v", damage, lost)
		}
		done()
	}
}

func TestADatabaseThatIsGone(t *testing.T) {
	dir, last := damaged(t)
	if err := os.Remove(filepath.Join(dir, "skerry.db")); err != nil {
		t.Fatal(err)
	}
	store, lost, done := healed(t, dir)
	if first := missing(t, store, 0); first > 0 || len(lost) != 1 || lost[0].To < last {
		t.Errorf("%d keys that are in the snapshot are gone, lost %v", first, lost)
	}
	done()
	_, lost, done = healed(t, dir)
	if done(); len(lost) != 1 {
		t.Errorf("after a restart it says %v", lost)
	}
}

func TestDamagedSnapshots(t *testing.T) {
	dir, _ := damaged(t)
	found, err := filepath.Glob(filepath.Join(dir, "snapshots", "*.zst"))
	if err != nil || len(found) == 0 {
		t.Fatal(found, err)
	}
	for _, path := range found {
		harm(t, path, true)
	}
	if err := os.Remove(filepath.Join(dir, "skerry.db")); err != nil {
		t.Fatal(err)
	}
	_, _, err = local.Open(t.Context(), local.Config{Dir: dir, SnapshotCount: 3, Log: slog.New(slog.DiscardHandler)})
	var told *fault.Fault
	if !errors.As(err, &told) || !strings.Contains(told.Cure(), "no snapshot") {
		t.Errorf("it starts with nothing: %v", err)
	}
	if kept, _ := filepath.Glob(filepath.Join(dir, "snapshots", "*.damaged")); len(kept) != len(found) {
		t.Errorf("%d of %d damaged snapshots are kept", len(kept), len(found))
	}
}
