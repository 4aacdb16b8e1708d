package durable

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// names are what lies in a folder.
func names(t *testing.T, dir string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

func content(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestAFileIsReplacedAsAWhole(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	for _, mode := range []fs.FileMode{0o644, 0o600, 0o755} {
		if err := WriteFile(path, []byte(mode.String()), mode); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode() != mode || content(t, path) != mode.String() {
			t.Errorf("mode %v, %v, %q; want %v", info.Mode(), err, content(t, path), mode)
		}
	}
	if got := names(t, dir); !slices.Equal(got, []string{"file"}) {
		t.Errorf("something is left over: %v", got)
	}
}

func TestFoldersAreMadeForRootAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	if err := WriteFile(filepath.Join(dir, "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := Write(filepath.Join(dir, "none", "file"), func(io.Writer) error { return nil }); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a folder that is not there: %v", err)
	}
}

// Whoever looks while a file is written sees the old one, and cannot read the new one.
func TestTheOldFileStaysUntilTheNewOneIsWhole(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	if err := WriteFile(path, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	big := bytes.Repeat([]byte("new"), 100_000)
	err := Write(path, func(w io.Writer) error {
		_, err := w.Write(big)
		for _, name := range names(t, dir) {
			info, bad := os.Stat(filepath.Join(dir, name))
			if name != "file" && (bad != nil || info.Mode().Perm() != 0o600 || !strings.HasPrefix(name, ".")) {
				t.Errorf("%s: %v, %v", name, info.Mode(), bad)
			}
		}
		if content(t, path) != "old" {
			t.Error("the old file is gone before the new one is whole")
		}
		return err
	})
	if err != nil || content(t, path) != string(big) {
		t.Errorf("%d bytes, %v", len(content(t, path)), err)
	}
}

func TestWhatCannotBeWrittenLeavesTheOldFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	if err := WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	full := errors.New("no space left")
	err := Write(path, func(w io.Writer) error {
		_, _ = w.Write([]byte("half"))
		return full
	})
	if !errors.Is(err, full) || !strings.Contains(err.Error(), "write "+path) || content(t, path) != "old" {
		t.Errorf("%v, %q", err, content(t, path))
	}
	if err := os.MkdirAll(filepath.Join(dir, "folder", "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(filepath.Join(dir, "folder"), nil, 0o600); err == nil || !strings.Contains(err.Error(), "write "+filepath.Join(dir, "folder")) {
		t.Errorf("a name that a folder has: %v", err)
	}
	if err := WriteFile(filepath.Join(path, "below"), nil, 0o600); err == nil {
		t.Error("a file was written below a file")
	}
	if got := names(t, dir); !slices.Equal(got, []string{"file", "folder"}) {
		t.Errorf("something is left over: %v", got)
	}
}

func TestSweepRemovesWhatAPowerCutLeft(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "an [odd] name")
	for _, name := range []string{".file.123.new", ".other", "file", "file.new"} {
		if err := WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := Sweep(dir); err != nil {
		t.Fatal(err)
	}
	if got := names(t, dir); !slices.Equal(got, []string{".other", "file", "file.new"}) {
		t.Errorf("left: %v", got)
	}
	if err := Sweep(filepath.Join(dir, "none")); err != nil {
		t.Errorf("a folder that is not there: %v", err)
	}
}

func TestRenameAndRemove(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "one", "a"), filepath.Join(dir, "two", "b")
	for _, path := range []string{a, b} {
		if err := WriteFile(path, []byte(path), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := Rename(a, b); err != nil || content(t, b) != a {
		t.Errorf("%v, %q", err, content(t, b))
	}
	if err := Rename(a, b); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	for range 2 {
		if err := Remove(b); err != nil {
			t.Error(err)
		}
	}
	if err := Remove(dir); err == nil {
		t.Error("a folder with something in it was removed")
	}
}
