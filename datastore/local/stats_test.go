package local

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/skerry-io/skerry/datastore"
)

// What the datastore says of itself is so, and what it has written is remembered over a restart.
func TestStats(t *testing.T) {
	c := Config{Dir: t.TempDir(), SnapshotInterval: time.Hour, SnapshotCount: 2, Log: slog.New(slog.DiscardHandler)}
	store, done, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	var last int64
	for i := range 20 {
		if last, err = store.Create(t.Context(), fmt.Sprintf("/registry/pods/%d", i), make([]byte, 5000), 0); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := store.Create(t.Context(), "/registry/events/a", nil, 60); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Compact(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	before := stats(t, store)
	if before.Keys != 21 || before.Revision != last+1 || before.Compacted != last || !before.Snapshot.IsZero() || before.Size < 100_000 || before.Written.Today < 100_000 {
		t.Errorf("%+v, %+v", before, before.Written)
	}
	if err := store.(interface{ Renew(context.Context) error }).Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	if now := stats(t, store); time.Since(now.Snapshot) > time.Minute || now.Written.Today <= before.Written.Today {
		t.Errorf("after a snapshot: %+v, %+v", now, now.Written)
	}
	was := stats(t, store).Written.Today
	done()
	if store, done, err = Open(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	defer done()
	if now := stats(t, store).Written.Today; now < was || now > 3*was {
		t.Errorf("%d bytes were written, and after a restart it is %d", was, now)
	}
}

func stats(t *testing.T, store datastore.Store) datastore.Stats {
	t.Helper()
	found, err := store.(datastore.Measured).Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return found
}
