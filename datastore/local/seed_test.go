package local_test

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skerry-io/skerry/datastore/engine"
	"github.com/skerry-io/skerry/datastore/local"
)

func hand(records []engine.Record) func(func(engine.Record) error) error {
	return func(each func(engine.Record) error) error {
		for _, r := range records {
			if err := each(r); err != nil {
				return err
			}
		}
		return nil
	}
}

func TestSeedKeepsRecordsAndGoesOnAbove(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "db")
	records := []engine.Record{
		{Revision: 40, Created: 30, Version: 3, Key: "/registry/a", Value: []byte("1")},
		{Revision: 12, Created: 12, Version: 1, Key: "/registry/b", Value: []byte{}},
		{Revision: 12, Created: 12, Version: 1, Key: "/registry/c", Value: []byte("one transaction with b")},
	}
	for i := range 2500 {
		records = append(records, engine.Record{Revision: int64(100 + i), Created: 50, Version: 2, Key: fmt.Sprintf("/registry/many/%d", i), Value: []byte("x")})
	}
	if err := local.Seed(t.Context(), quiet(dir), engine.State{Revision: 1_000_000}, hand(records)); err != nil {
		t.Fatal(err)
	}
	store, done, err := local.Open(t.Context(), quiet(dir))
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	now, kvs, err := store.List(t.Context(), "/", "0", 0, 0, false)
	if err != nil || len(kvs) != len(records) || now < 1_000_000 {
		t.Fatalf("%d keys at %d, %v", len(kvs), now, err)
	}
	if kv := kvs[0]; kv.Key != "/registry/a" || string(kv.Value) != "1" || kv.ModRevision != 40 || kv.CreateRevision != 30 || kv.Version != 3 {
		t.Errorf("got %+v", kv)
	}
	if b, c := kvs[1].ModRevision, kvs[2].ModRevision; b != 12 || c <= 1_000_000 {
		t.Errorf("two records of one revision: %d and %d", b, c)
	}
	if _, _, err := store.List(t.Context(), "/", "0", 0, 2599, false); err == nil || !strings.Contains(err.Error(), "compacted") {
		t.Errorf("the past can be read: %v", err)
	}
	if at, err := store.Create(t.Context(), "/registry/new", []byte("x"), 0); err != nil || at <= now {
		t.Errorf("the next revision is %d after %d, %v", at, now, err)
	}
}

func TestSeedRefusesAndLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	broken := errors.New("broken")
	err := local.Seed(t.Context(), quiet(dir), engine.State{Revision: 9}, func(each func(engine.Record) error) error {
		return errors.Join(each(engine.Record{Revision: 2, Created: 2, Version: 1, Key: "/a"}), broken)
	})
	if entries, _ := os.ReadDir(dir); !errors.Is(err, broken) || len(entries) != 1 {
		t.Errorf("got %v, and there are %v", err, entries)
	}
	for _, name := range []string{"skerry.db", "state.db", "revisions", "snapshots", "short-lived"} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := local.Seed(t.Context(), quiet(dir), engine.State{Revision: 9}, hand(nil)); !errors.Is(err, fs.ErrExist) {
			t.Errorf("beside %s: %v", name, err)
		}
		if text, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(text) != "x" {
			t.Errorf("%s was changed", name)
		}
	}
	if err := local.Seed(t.Context(), quiet(dir), engine.State{Revision: 9}, hand(nil)); err != nil {
		t.Errorf("an empty one, again: %v", err)
	}
}

func TestSetAside(t *testing.T) {
	c := local.Config{Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler)}
	if local.Exists(c.Dir) {
		t.Error("there is a database in an empty directory")
	}
	for range 2 {
		_, done, err := local.Open(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		done()
		if !local.Exists(c.Dir) {
			t.Error("there is no database after one was opened")
		}
		folder, err := local.SetAside(c.Dir)
		if err != nil || local.Exists(c.Dir) || !local.Exists(folder) {
			t.Errorf("in %s: %v", folder, err)
		}
	}
	entries, err := os.ReadDir(c.Dir)
	if err != nil || len(entries) != 4 { // two that were set aside, the lock, and how much was written
		t.Errorf("%v, %v", entries, err)
	}
}
