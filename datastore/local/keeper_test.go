package local_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skerry-io/skerry/datastore"
	"github.com/skerry-io/skerry/datastore/engine"
	"github.com/skerry-io/skerry/datastore/local"
	"github.com/skerry-io/skerry/datastore/ramtier"
)

func snapshotsIn(t testing.TB, dir string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "snapshots", "*.zst"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func change(t *testing.T, store datastore.Store, key string) {
	t.Helper()
	if _, err := store.Create(t.Context(), key, []byte("1"), 0); err != nil {
		t.Fatal(err)
	}
}

// TestANewClusterHasSomethingToFallBackToSoon: the first snapshot is made after a minute, the second ten minutes later, then
// each interval has one; a later start does not begin anew.
func TestANewClusterHasSomethingToFallBackToSoon(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		c := local.Config{Dir: dir, SnapshotInterval: 12 * time.Hour, SnapshotCount: 10, Log: slog.New(slog.DiscardHandler)}
		open := func() (datastore.Store, func()) {
			store, done, err := local.Open(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			return store, done
		}
		store, done := open()
		last := 0
		after := func(d time.Duration, want int) {
			t.Helper()
			last++
			change(t, store, fmt.Sprintf("/registry/%d", last))
			time.Sleep(d)
			synctest.Wait()
			if have := snapshotsIn(t, dir); len(have) != want {
				t.Errorf("%s later there are %d snapshots, want %d", d, len(have), want)
			}
		}
		after(50*time.Second, 0)
		after(20*time.Second, 1)
		after(9*time.Minute, 1)
		after(2*time.Minute, 2)
		after(11*time.Hour, 2)
		done()
		store, done = open()
		after(30*time.Minute, 2) // the interval counts from the last one
		after(2*time.Hour, 3)
		done()
	})
}

// TestRenew leaves a snapshot of now alone, without which Secrets of before could come back under a key that is gone.
func TestRenew(t *testing.T) {
	for _, interval := range []time.Duration{0, 20 * time.Millisecond} {
		dir := t.TempDir()
		store, done, err := local.Open(t.Context(), local.Config{Dir: dir, SnapshotInterval: interval, SnapshotCount: 5, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			change(t, store, fmt.Sprintf("/registry/%d", i))
			waitFor(t, "a snapshot", func() bool { return interval == 0 || len(snapshotsIn(t, dir)) > i })
		}
		revision, err := store.CurrentRevision(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := store.(interface{ Renew(context.Context) error }).Renew(t.Context()); err != nil {
			t.Fatal(err)
		}
		have := snapshotsIn(t, dir)
		if interval == 0 && len(have) > 0 {
			t.Errorf("there are none to be, and there is %q", have)
		}
		if interval > 0 && (len(have) != 1 || filepath.Base(have[0])[:len(fmt.Sprint(revision))+1] != fmt.Sprintf("%d-", revision)) {
			t.Errorf("at revision %d there is %q", revision, have)
		}
		done()
	}
}

// TestAClockThatWasSetBack does not put off the next snapshot for longer than the interval.
func TestAClockThatWasSetBack(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		c := local.Config{Dir: dir, SnapshotInterval: 12 * time.Hour, SnapshotCount: 10, Log: slog.New(slog.DiscardHandler)}
		for life := range 2 {
			store, done, err := local.Open(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			change(t, store, fmt.Sprintf("/registry/%d", life))
			time.Sleep([]time.Duration{2 * time.Minute, 12*time.Hour + time.Minute}[life])
			synctest.Wait()
			have := snapshotsIn(t, dir)
			if len(have) != life+1 {
				t.Errorf("there are %q", have)
			}
			done()
			late := time.Now().Add(10 * 365 * 24 * time.Hour).UTC().Format("20060102T150405Z")
			if err := os.Rename(have[0], filepath.Join(filepath.Dir(have[0]), strings.SplitN(filepath.Base(have[0]), "-", 2)[0]+"-"+late+".snapshot.zst")); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestALeaseAndTheClock: a lease is written down with the time at which it ends; a clock that was set back, or forward, while nobody
// looked makes it end soon, and never later than its own length.
func TestALeaseAndTheClock(t *testing.T) {
	for _, jump := range []time.Duration{-10 * 365 * 24 * time.Hour, 0, 10 * 365 * 24 * time.Hour} {
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			open := func() (datastore.Store, func()) {
				store, done, err := local.Open(t.Context(), local.Config{Dir: dir, Log: slog.New(slog.DiscardHandler)})
				if err != nil {
					t.Fatal(err)
				}
				return store, done
			}
			store, done := open()
			if _, err := store.Create(t.Context(), "/registry/leases/a", []byte("1"), 40); err != nil {
				t.Fatal(err)
			}
			change(t, store, "/registry/pods/a")
			time.Sleep(10 * time.Second)
			done()
			expireIn(t, dir, -jump) // as it looks when the clock jumps
			store, done = open()
			defer done()
			there := func() bool {
				_, kv, err := store.Get(t.Context(), "/registry/leases/a", 0, false)
				if err != nil {
					t.Fatal(err)
				}
				return kv != nil
			}
			time.Sleep(time.Second)
			if jump == 0 && !there() {
				t.Error("a lease with 29 seconds left is gone")
			}
			time.Sleep(40 * time.Second)
			if synctest.Wait(); there() {
				t.Errorf("with a jump of %s a lease of 40 seconds lives for longer", jump)
			}
			_, kv, err := store.Get(t.Context(), "/registry/pods/a", 0, false)
			if err != nil || kv == nil {
				t.Errorf("what has no lease is gone: %v", err)
			}
		})
	}
}

// expireIn moves the ends of all leases in a checkpoint.
func expireIn(t *testing.T, dir string, by time.Duration) {
	t.Helper()
	var all []engine.Record
	at := ramtier.Options{Path: filepath.Join(dir, "short-lived"), Log: slog.New(slog.DiscardHandler)}
	state, err := ramtier.New(at).Load(func(r engine.Record) error {
		r.Expires += by.Milliseconds()
		r.Value = append([]byte(nil), r.Value...)
		all = append(all, r)
		return nil
	})
	if err != nil || len(all) == 0 {
		t.Fatalf("%d leases: %v", len(all), err)
	}
	again := ramtier.New(at)
	for _, r := range all {
		again.Put(r, 0)
	}
	if err := again.Save(state, all); err != nil {
		t.Fatal(err)
	}
}
