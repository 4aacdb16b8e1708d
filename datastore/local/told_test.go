package local_test

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/skerry-io/skerry/datastore"
	"github.com/skerry-io/skerry/datastore/local"
)

// A clean end leaves one file with everything, and what is beside it says that there was something in it.
func TestADatabaseThatIsCutOff(t *testing.T) {
	base, last := damaged(t)
	_, lost, done := healed(t, base)
	if done(); len(lost) > 0 {
		t.Fatalf("nothing was damaged, and it says %v", lost)
	}
	for _, suffix := range []string{"-wal", "-latest"} {
		if _, err := os.Stat(filepath.Join(base, "skerry.db"+suffix)); !errors.Is(err, os.ErrNotExist) {
			t.Fatalf("after a clean end there is skerry.db%s, %v", suffix, err)
		}
	}
	for _, size := range []int64{0, 1, 100, 4096} {
		t.Run(fmt.Sprintf("to %d bytes", size), func(t *testing.T) {
			dir := copyOf(t, base)
			if err := os.Truncate(filepath.Join(dir, "skerry.db"), size); err != nil {
				t.Fatal(err)
			}
			store, lost, done := healed(t, dir)
			if first := missing(t, store, 0); first > 0 || len(lost) != 1 || lost[0].Used == "" || lost[0].To < last {
				t.Errorf("%d keys that are in the snapshot are gone, and it says %v", first, lost)
			}
			if next, err := store.Create(t.Context(), "/registry/next", nil, 0); err != nil || next <= last {
				t.Errorf("revision %d follows %d, %v", next, last, err)
			}
			done()
			_, lost, done = healed(t, dir)
			if done(); len(lost) != 1 {
				t.Errorf("after a restart it says %v", lost)
			}
		})
	}
}

// Where nothing was written yet nothing can be damaged, though the power went while the database was made.
func TestADatabaseThatIsNewIsNoDamage(t *testing.T) {
	empty, begun := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(begun, "skerry.db"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{empty, begun} {
		for i := range 2 {
			store, lost, done := healed(t, dir)
			_, kvs, err := store.List(t.Context(), "/registry/", "/registry0", 0, 0, true)
			if err != nil || len(kvs) != i || len(lost) > 0 {
				t.Errorf("it has %d keys, and says %v, %v", len(kvs), lost, err)
			}
			if _, err := store.Create(t.Context(), fmt.Sprintf("/registry/%d", i), nil, 0); err != nil {
				t.Error(err)
			}
			done()
		}
	}
}

func copyOf(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

// Wherever it is cut off, what is lost is told after the next start: sooner twice than never.
func TestALossIsToldThoughItIsCutOff(t *testing.T) {
	dir, last := damaged(t)
	_, _, done := healed(t, dir)
	done() // so that no log has what the file has
	if err := os.Truncate(filepath.Join(dir, "skerry.db"), 100); err != nil {
		t.Fatal(err)
	}
	cut, places := map[string]string{}, []string{}
	_, done, err := local.Open(t.Context(), local.Config{Dir: dir, SnapshotCount: 3, Log: slog.New(slog.DiscardHandler), Failpoint: func(name string) {
		if strings.HasPrefix(name, "local/") {
			place := fmt.Sprintf("%d %s", len(places), name)
			cut[place], places = copyOf(t, dir), append(places, name)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	done()
	if !slices.Contains(places, "local/rebuilt") || places[len(places)-1] != "local/told" {
		t.Errorf("it came to %q", places)
	}
	for place, dir := range cut {
		store, lost, done := healed(t, dir)
		if first := missing(t, store, 0); first > 0 || len(lost) == 0 || lost[len(lost)-1].To < last {
			t.Errorf("%s: %d keys that are in the snapshot are gone, and it says %v", place, first, lost)
		}
		done()
	}
}

// A loss that cannot be told yet is told once it can be.
func TestALossThatCannotBeToldYet(t *testing.T) {
	base := logged(t, 40, 30_000)
	for name, harm := range map[string]func(dir string) error{
		"the database is gone": func(dir string) error { return os.Remove(filepath.Join(dir, "skerry.db")) },
		"its log is damaged":   func(dir string) error { return flip(filepath.Join(dir, "skerry.db-wal")) },
	} {
		dir := copyOf(t, base)
		told := filepath.Join(dir, "losses")
		if err := errors.Join(harm(dir), os.MkdirAll(filepath.Join(told, "in the way"), 0o700)); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, done, err := local.Open(t.Context(), quiet(dir)); err == nil {
				done()
				t.Errorf("%s: it starts, and nobody hears what is lost", name)
			}
		}
		if err := os.RemoveAll(told); err != nil {
			t.Fatal(err)
		}
		_, lost, done := healed(t, dir)
		if done(); len(lost) != 1 || lost[0].To < 40 {
			t.Errorf("%s: then it says %v", name, lost)
		}
	}
}

// logged is a directory with a snapshot of nothing and these keys, as a crash leaves it.
func logged(t *testing.T, keys, size int) string {
	t.Helper()
	from := t.TempDir()
	c := quiet(from)
	c.SnapshotInterval, c.SnapshotCount = time.Millisecond, 3
	store, done, err := local.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	write(t, store, 0, 1, 0)
	waitFor(t, "a snapshot", func() bool {
		found, _ := filepath.Glob(filepath.Join(from, "snapshots", "*.zst"))
		return len(found) > 0
	})
	done()
	store, _, done = healed(t, from)
	defer done()
	write(t, store, 1, keys, size)
	return copyOf(t, from)
}

func write(t *testing.T, store datastore.Store, from, to, size int) {
	t.Helper()
	for i := from; i < to; i++ {
		if _, err := store.Create(t.Context(), fmt.Sprintf("/registry/%02d", i), []byte(strings.Repeat("v", size)), 0); err != nil {
			t.Fatal(err)
		}
	}
}

// flip changes a bit in the middle of what a log holds.
func flip(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	end := endOfLog
	if strings.HasSuffix(path, "-latest") {
		end = endOfLatest
	}
	const sector = 512 // at which entries begin, with what they say of themselves
	text[end(text)/2/sector*sector+40] ^= 1
	return os.WriteFile(path, text, 0o600)
}

// What a damaged log has lost is told once: what was whole in it stays, and the next process, after a crash, finds nothing that is not.
func TestADamagedLogIsToldOnce(t *testing.T) {
	const keys, large, small = 40, 30_000, 100 // what is large goes into the write-ahead log at once
	all := func(t *testing.T, store datastore.Store) (found []string) {
		t.Helper()
		_, kvs, err := store.List(t.Context(), "/registry/", "/registry0", 0, 0, true)
		if err != nil {
			t.Fatal(err)
		}
		for _, kv := range kvs {
			found = append(found, kv.Key)
		}
		return found
	}
	for _, c := range []struct {
		name                  string
		before, writes, after int // sizes of what is written before and after the damage, and how much that is
	}{
		{"skerry.db-wal", large, 0, large},
		{"skerry.db-wal", large, 1, large},
		{"skerry.db-wal", large, 5, large},
		{"skerry.db-wal", large, 40, large},
		{"skerry.db-wal", large, 5, small},
		{"skerry.db-latest", small, 0, small},
		{"skerry.db-latest", small, 1, small},
		{"skerry.db-latest", small, 30, small},
		{"skerry.db-latest", small, 1, large},
	} {
		t.Run(fmt.Sprintf("%s, %d of %d later", c.name, c.writes, c.after), func(t *testing.T) {
			dir := logged(t, keys, c.before)
			if err := flip(filepath.Join(dir, c.name)); err != nil {
				t.Fatal(err)
			}
			store, lost, done := healed(t, dir)
			defer done()
			if left := len(all(t, store)); len(lost) != 1 || lost[0].Used != "" || left < keys/4 || left > keys*3/4 {
				t.Fatalf("%d of %d keys are there, and it says %v", left, keys, lost)
			}
			write(t, store, keys, keys+c.writes, c.after)
			want := all(t, store)
			store, lost, done = healed(t, copyOf(t, dir))
			defer done()
			if got := all(t, store); !slices.Equal(got, want) || len(lost) != 1 {
				t.Errorf("after a crash it has %q, want %q, and it says %v", got, want, lost)
			}
		})
	}
}
