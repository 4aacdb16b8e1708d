package local_test

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/skerry-io/skerry/datastore/local"
	"github.com/skerry-io/skerry/internal/fault"
)

func quiet(dir string) local.Config {
	return local.Config{Dir: dir, Log: slog.New(slog.DiscardHandler)}
}

func TestOneProcessAtATime(t *testing.T) {
	dir := t.TempDir()
	_, done, err := local.Open(t.Context(), quiet(dir))
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = local.Open(t.Context(), quiet(dir))
	var told *fault.Fault
	if !errors.As(err, &told) || !errors.Is(err, syscall.EWOULDBLOCK) || told.Cure() == "" {
		t.Errorf("a second one: %v", err)
	}
	done()
	if _, done, err = local.Open(t.Context(), quiet(dir)); err != nil {
		t.Fatal(err)
	}
	done()
}

func TestFilesAreForRootAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "odd name 100%41 #1 ?x=y")
	store, done, err := local.Open(t.Context(), quiet(dir))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Create(t.Context(), "/registry/a", []byte("1"), 0); err != nil {
		t.Error(err)
	}
	count := 0
	if err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if info, _ := d.Info(); info != nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		count++
		return err
	}); err != nil || count < 5 {
		t.Errorf("%d files, %v", count, err)
	}
	done()
}

// Nothing is written while nothing changes, nor by what is short-lived.
func TestIdleWritesNothing(t *testing.T) {
	dir := t.TempDir()
	store, done, err := local.Open(t.Context(), quiet(dir))
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	revision, err := store.Create(t.Context(), "/registry/leases/a", []byte("0"), 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Create(t.Context(), "/registry/pods/a", []byte("0"), 0); err != nil {
		t.Fatal(err)
	}
	before := state(t, dir)
	for range 1000 {
		if revision, _, _, err = store.Update(t.Context(), "/registry/leases/a", []byte("1"), revision, 0); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := store.Compact(t.Context(), revision-10); err != nil {
		t.Fatal(err)
	}
	if after := state(t, dir); after != before {
		t.Errorf("files were written:\n%s\nand before\n%s", after, before)
	}
}

// A start writes nothing either, so that it works on a disk that is full.
func TestAStartWritesNothing(t *testing.T) {
	dir := t.TempDir()
	for i := range 2 {
		store, done, err := local.Open(t.Context(), quiet(dir))
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			if _, err := store.Create(t.Context(), "/registry/pods/a", []byte("0"), 0); err != nil {
				t.Fatal(err)
			}
			done()
			continue
		}
		defer done()
		if log, err := os.Stat(filepath.Join(dir, "skerry.db-wal")); err == nil && log.Size() > 0 {
			t.Errorf("%d bytes were written", log.Size())
		}
	}
}

// state is what the files of a directory look like from outside.
func state(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			t.Fatal(err)
		}
		all.WriteString(entry.Name() + " " + info.ModTime().String() + "\n")
	}
	return all.String()
}

func TestWhatIsNoDatabaseIsRefused(t *testing.T) {
	for name, harm := range map[string]func(path string) error{
		"another kind of file": func(path string) error { return os.WriteFile(path, []byte(strings.Repeat("a script\n", 1000)), 0o600) },
		"a folder":             func(path string) error { return os.Mkdir(path, 0o700) },
		"a link to itself":     func(path string) error { return os.Symlink(path, path) },
	} {
		for _, file := range []string{"state.db", "skerry.db"} {
			dir := t.TempDir()
			path := filepath.Join(dir, file)
			if err := harm(path); err != nil {
				t.Fatal(err)
			}
			before := state(t, dir)
			_, _, err := local.Open(t.Context(), quiet(dir))
			var told *fault.Fault
			if !errors.As(err, &told) || !strings.Contains(err.Error(), path) || told.Cure() == "" {
				t.Errorf("%s as %s: %v", name, file, err)
			}
			if after := strings.ReplaceAll(state(t, dir), lockLine(t, dir), ""); after != before {
				t.Errorf("%s as %s: there were\n%sand now there are\n%s", name, file, before, after)
			}
		}
	}
}

func lockLine(t *testing.T, dir string) string {
	t.Helper()
	info, err := os.Stat(filepath.Join(dir, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	return "lock " + info.ModTime().String() + "\n"
}

func TestOpenEndsWithItsContext(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, _, err := local.Open(ctx, quiet(t.TempDir())); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestADirectoryThatCannotBeMade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, err := local.Open(t.Context(), quiet(filepath.Join(path, "db")))
	var told *fault.Fault
	if !errors.As(err, &told) || !strings.Contains(told.Cure(), path) {
		t.Errorf("got %v", err)
	}
}
