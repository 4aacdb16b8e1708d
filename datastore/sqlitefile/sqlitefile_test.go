package sqlitefile

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skerry-io/skerry/internal/fault"
)

func TestCheck(t *testing.T) {
	for name, c := range map[string]struct {
		content, want string
	}{
		"a database":        {"SQLite format 3\x00and pages", ""},
		"nothing":           {"", ""},
		"a few bytes":       {"SQLite", "is not a SQLite database"},
		"another kind":      {"#!/bin/sh\necho not a database\n", "is not a SQLite database"},
		"an older database": {"** This file contains an SQLite 2.1 database **", "is not a SQLite database"},
	} {
		path := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(path, []byte(c.content), 0o600); err != nil {
			t.Fatal(err)
		}
		refused(t, name, Check(path), path, c.want)
	}
	dir := t.TempDir()
	refused(t, "no file", Check(filepath.Join(dir, "none")), "", "")
	refused(t, "a folder", Check(dir), dir, "is a directory")
}

func refused(t *testing.T, name string, err error, path, want string) {
	t.Helper()
	var told *fault.Fault
	switch {
	case want == "" && err != nil:
		t.Errorf("%s: %v", name, err)
	case want != "" && (!errors.As(err, &told) || told.Cure() == "" || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path)):
		t.Errorf("%s: got %v", name, err)
	}
}

func TestURI(t *testing.T) {
	if got, want := URI("/a b/100%41 #1 ?x=y", "mode=ro"), "file:/a b/100%2541 %231 %3Fx=y?mode=ro"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
