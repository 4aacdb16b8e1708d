package local_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/skerry-io/skerry/datastore"
	"github.com/skerry-io/skerry/datastore/engine"
	"github.com/skerry-io/skerry/datastore/local"
	"github.com/skerry-io/skerry/datastore/snapshots"
	"github.com/skerry-io/skerry/datastore/sqlite"
	"github.com/skerry-io/skerry/datastore/storetest"
)

// long says that there is time for the long form of a test.
func long() bool { return os.Getenv("SKERRY_LONG") != "" }

// TestPowerCut: what was answered is there, whatever the disk forgets of the rest; snapshots, claims and checkpoints are made meanwhile.
func TestPowerCut(t *testing.T) {
	cuts := 60
	if long() {
		cuts = 2000
	}
	storetest.PowerCut(t, powerless(), cuts)
}

func TestPowerCutChild(t *testing.T) { storetest.Child(t, powerless()) }

func powerless() storetest.Crasher {
	c := crasher()
	c.Child = "TestPowerCutChild"
	c.Open = func(t testing.TB, dir string, at func(string)) (datastore.Store, func()) {
		for _, path := range snapshotsIn(t, dir) {
			if _, err := snapshots.Read(path, func(engine.Record) error { return nil }); err != nil {
				t.Errorf("a snapshot with its whole name is not whole: %v", err)
			}
		}
		store, done, err := local.Open(t.Context(), local.Config{Dir: dir, SnapshotInterval: 50 * time.Millisecond, SnapshotCount: 2, Failpoint: at,
			Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		claim, err := sqlite.Claimed(filepath.Join(dir, "revisions"))
		if now, _ := store.CurrentRevision(t.Context()); now > 1 && (err != nil || claim < now) {
			t.Errorf("revision %d was given out, and %d is claimed: %v", now, claim, err)
		}
		return store, done
	}
	return c
}
