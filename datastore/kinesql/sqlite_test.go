package kinesql

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/k3s-io/kine/pkg/drivers/generic"
	"github.com/k3s-io/kine/pkg/logstructured"
	"github.com/k3s-io/kine/pkg/logstructured/sqllog"
	"github.com/k3s-io/kine/pkg/server"

	"github.com/skerry-io/skerry/datastore"
	"github.com/skerry-io/skerry/internal/fault"
)

// opened is a store that was started; letGo closes it.
func opened(t *testing.T, dir string) (store datastore.Store, letGo func()) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	store, wait, err := Open(ctx, dir)
	if err != nil {
		stop()
		t.Fatal(err)
	}
	letGo = sync.OnceFunc(func() {
		stop()
		wait()
	})
	t.Cleanup(letGo)
	if err := store.Start(ctx); err != nil {
		t.Fatal(err)
	}
	return store, letGo
}

func TestReopenKeepsDataAndRevision(t *testing.T) {
	for _, name := range []string{"db", "odd name 100%41 #1 ?x=y"} {
		dir := filepath.Join(t.TempDir(), name)
		store, letGo := opened(t, dir)
		wrote, err := store.Create(t.Context(), "/registry/a", []byte("value"), 0)
		if err != nil {
			t.Fatal(err)
		}
		letGo()
		if info, err := os.Stat(filepath.Join(dir, file)); err != nil || info.Size() == 0 {
			t.Errorf("%q: the database lies elsewhere: %v", name, err)
		}
		began := time.Now()
		store, _ = opened(t, dir)
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("%q: opening it again took %s", name, took)
		}
		now, kv, err := store.Get(t.Context(), "/registry/a", 0, false)
		if err != nil || kv == nil || string(kv.Value) != "value" || kv.ModRevision != wrote || now < wrote {
			t.Errorf("%q: wrote at %d, got %+v at %d, %v", name, wrote, kv, now, err)
		}
		next, err := store.Create(t.Context(), "/registry/b", nil, 0)
		if err != nil || next <= wrote {
			t.Errorf("%q: revision %d follows %d, %v", name, next, wrote, err)
		}
	}
}

// The engine must not lose its file while requests are still being answered.
func TestTheStoreWorksUntilItIsLetGo(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	store, letGo, err := Open(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Start(ctx); err != nil {
		t.Fatal(err)
	}
	stop()
	if _, err := store.Create(t.Context(), "/registry/late", nil, 0); err != nil {
		t.Errorf("a write during the stop: %v", err)
	}
	letGo()
	if _, err := store.Create(t.Context(), "/registry/later", nil, 0); err == nil {
		t.Error("the file is still open")
	}
}

// tables is the database of an engine that was prepared and opened as Open does it.
func tables(t *testing.T) *sql.DB {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	t.Cleanup(func() {
		stop()
		running.Wait()
	})
	path := filepath.Join(t.TempDir(), file)
	if err := prepare(ctx, path); err != nil {
		t.Fatal(err)
	}
	store, err := sqlite(ctx, &running, path)
	if err != nil {
		t.Fatal(err)
	}
	return store.rows.DB
}

func TestSettingsThatMakeAWriteLast(t *testing.T) {
	db := tables(t)
	for pragma, want := range map[string]string{"synchronous": "2", "journal_mode": "wal", "busy_timeout": "30000"} {
		var got string
		if err := db.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %q, %v; want %q", pragma, got, err, want)
		}
	}
}

// mute does not say what the last change is.
type mute struct{ *generic.Generic }

var errMute = errors.New("the database does not answer")

func (mute) CurrentRevision(context.Context) (int64, error) { return 0, errMute }

// Without its first subscription kine would tell nobody anything, for ever, and say nothing of that.
func TestAStartWithoutChangesToTellIsNone(t *testing.T) {
	for name, dialect := range map[string]func(*generic.Generic) server.Dialect{
		"it answers":         func(rows *generic.Generic) server.Dialect { return rows },
		"it does not answer": func(rows *generic.Generic) server.Dialect { return mute{rows} },
	} {
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		path := filepath.Join(t.TempDir(), file)
		if err := prepare(ctx, path); err != nil {
			t.Fatal(err)
		}
		opened, err := sqlite(ctx, &running, path)
		if err != nil {
			t.Fatal(err)
		}
		log := sqllog.New(dialect(opened.rows), 0, 0, compactPatience, 0, batch, batch)
		s := &shared{store: store{logstructured.New(log), opened.rows}, log: log, life: ctx, running: &running}
		if err := s.Start(ctx); (err == nil) != (name == "it answers") {
			t.Errorf("%s: it starts with %v", name, err)
		}
		stop()
		running.Wait()
	}
}

func TestTheWALCanEnd(t *testing.T) {
	db := tables(t)
	if busy := db.Stats().InUse; busy != 0 {
		t.Errorf("%d connections are in use and nobody uses them", busy)
	}
	if _, err := db.ExecContext(t.Context(), "INSERT INTO kine(name, value) VALUES('/registry/a', zeroblob(100000))"); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 5*time.Second)
	defer stop()
	var busy, frames, done int
	if err := db.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &frames, &done); err != nil || busy != 0 || frames != 0 {
		t.Errorf("busy %d, %d frames are left of which %d are in the database: %v", busy, frames, done, err)
	}
}

func TestADatabaseOfNoUseIsAnErrorAtOnce(t *testing.T) {
	for name, c := range map[string]struct {
		harm func(t *testing.T, path string)
		want string
	}{
		"another kind of file":       {write([]byte("#!/bin/sh\necho this is not a database, it is a script\n")), "is not a SQLite database"},
		"a few bytes":                {write([]byte("SQLite")), "is not a SQLite database"},
		"a header and then nonsense": {write(append([]byte("SQLite format 3\x00"), bytes.Repeat([]byte("x"), 8192)...)), "open the database"},
		"its schema is nonsense":     {scratch, "open the database"},
		"a folder":                   {folder, "is a directory"},
		"a link to itself":           {loop, "too many levels of symbolic links"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, file)
			c.harm(t, path)
			before, _ := os.ReadFile(path)
			ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
			defer stop()
			_, _, err := Open(ctx, dir)
			var told *fault.Fault
			if !errors.As(err, &told) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) || told.Cure() == "" {
				t.Errorf("got %v", err)
			}
			if ctx.Err() != nil {
				t.Error("it took too long to say so")
			}
			if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
				t.Error("the file was changed")
			}
		})
	}
}

func write(content []byte) func(*testing.T, string) {
	return func(t *testing.T, path string) {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// scratch makes a good database and overwrites its first page behind the header.
func scratch(t *testing.T, path string) {
	_, letGo := opened(t, filepath.Dir(path))
	letGo()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(bytes.Repeat([]byte{0xff}, 3900), 100); err != nil {
		t.Fatal(err)
	}
}

func folder(t *testing.T, path string) {
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
}

func loop(t *testing.T, path string) {
	if err := os.Symlink(path, path); err != nil {
		t.Fatal(err)
	}
}

func TestAnEmptyFileIsANewDatabase(t *testing.T) {
	dir := t.TempDir()
	write(nil)(t, filepath.Join(dir, file))
	store, _ := opened(t, dir)
	if _, err := store.Create(t.Context(), "/registry/a", nil, 0); err != nil {
		t.Error(err)
	}
}

func TestADirectoryThatCannotBeMade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	write(nil)(t, path)
	_, _, err := Open(t.Context(), filepath.Join(path, "db"))
	var told *fault.Fault
	if !errors.As(err, &told) || !strings.Contains(told.Cure(), path) {
		t.Errorf("got %v", err)
	}
}

func TestOpenEndsWithItsContext(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, _, err := Open(ctx, t.TempDir()); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
