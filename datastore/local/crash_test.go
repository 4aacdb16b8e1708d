package local_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/skerry-io/skerry/datastore"
	"github.com/skerry-io/skerry/datastore/kinesql"
	"github.com/skerry-io/skerry/datastore/local"
	"github.com/skerry-io/skerry/datastore/storetest"
)

func crasher() storetest.Crasher {
	return storetest.Crasher{
		Child: "TestCrashChild",
		Points: []string{"sqlite/claimed-beside", "sqlite/filled", "sqlite/committed", "sqlite/flushing", "sqlite/flushed", "engine/kept", "engine/published", "engine/compacted",
			"engine/before-checkpoint", "ramtier/filled", "ramtier/saved"},
		Open: func(t testing.TB, dir string, at func(string)) (datastore.Store, func()) {
			store, done, err := local.Open(t.Context(), local.Config{Dir: dir, Failpoint: at, Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			return store, done
		},
		Forgets: func(key string) bool { return strings.HasPrefix(key, "/registry/leases/") },
	}
}

func TestCrash(t *testing.T)      { storetest.Crash(t, crasher()) }
func TestCrashChild(t *testing.T) { storetest.Child(t, crasher()) }

// TestCrashInterval: what was answered a moment ago may be lost then, but revisions never go back.
func TestCrashInterval(t *testing.T) {
	c := late()
	c.Points = []string{"sqlite/claimed-beside", "sqlite/filled", "sqlite/committed", "engine/published"}
	storetest.Crash(t, c)
}

func TestCrashIntervalChild(t *testing.T) { storetest.Child(t, late()) }

func late() storetest.Crasher {
	c := crasher()
	c.Child, c.Late = "TestCrashIntervalChild", true
	c.Open = func(t testing.TB, dir string, at func(string)) (datastore.Store, func()) {
		store, done, err := local.Open(t.Context(), local.Config{Dir: dir, CommitInterval: 20 * time.Millisecond, Failpoint: at, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		return store, done
	}
	return c
}

// TestCrashTakeOver: the power may go at any step of the move from an earlier release.
func TestCrashTakeOver(t *testing.T) {
	c := crasher()
	c.Points = []string{"local/copied", "local/renamed", "engine/kept"}
	c.Prepare = former
	storetest.Crash(t, c)
}

// former leaves the database of an earlier release in a directory.
func former(t *testing.T, dir string) map[string]string {
	ctx, stop := context.WithCancel(t.Context())
	store, wait, err := kinesql.Open(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer wait()
	defer stop()
	if err := store.Start(ctx); err != nil {
		t.Fatal(err)
	}
	known := map[string]string{"/registry/gone": "", "/registry/health": `{"health":"true"}`}
	for i := range 1500 {
		key := fmt.Sprintf("/registry/%s/%d", []string{"secrets", "leases"}[i%2], i)
		known[key] = strings.Repeat("s", i)
		revision, err := store.Create(ctx, key, []byte(known[key]), 0)
		if err != nil {
			t.Fatal(err)
		}
		if i%10 == 0 {
			known[key] += "2"
			if _, _, done, err := store.Update(ctx, key, []byte(known[key]), revision, 0); err != nil || !done {
				t.Fatal(done, err)
			}
		}
	}
	if _, err := store.Create(ctx, "/registry/gone", nil, 0); err != nil {
		t.Fatal(err)
	}
	if _, _, done, err := store.Delete(ctx, "/registry/gone", 0); err != nil || !done {
		t.Fatal(done, err)
	}
	return known
}

func TestTakeOver(t *testing.T) {
	dir := t.TempDir()
	known := former(t, dir)
	var last int64
	for range 2 {
		store, done, err := local.Open(t.Context(), local.Config{Dir: dir, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		for key, want := range known {
			_, kv, err := store.Get(t.Context(), key, 0, false)
			if err != nil || (kv == nil) != (want == "" && key == "/registry/gone") || kv != nil && string(kv.Value) != want {
				t.Fatalf("%s is %+v, want %q: %v", key, kv, want, err)
			}
		}
		revision, err := store.CurrentRevision(t.Context())
		if err != nil || revision < int64(len(known)) || revision < last {
			t.Errorf("revision %d, %v", revision, err)
		}
		last = revision
		done()
	}
	aside := filepath.Join(dir, "state.db.former")
	if info, err := os.Stat(aside); err != nil || info.Size() == 0 {
		t.Errorf("the former database is not kept: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "state.db")); err == nil {
		t.Error("the former database is still where it was")
	}
}
