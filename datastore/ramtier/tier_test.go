package ramtier

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/skerry-io/skerry/datastore/engine"
)

func tier(path string) *Tier {
	return New(Options{Path: path, Limit: 10_000, Log: slog.New(slog.DiscardHandler)})
}

func TestWhatIsShortLived(t *testing.T) {
	for key, want := range map[string]bool{
		"/registry/leases/kube-node-lease/pi": true, "/registry/events/default/x": true, "/registry/masterleases/10.0.0.1": true,
		"/registry/peerserverleases/apiserver-x": true, "/registry/pods/default/events": false, "/registry/leasesx/a": false, "/registry/secrets/leases/x": false, "": false,
	} {
		if got := tier("").Keeps(key); got != want {
			t.Errorf("%q: %v", key, got)
		}
	}
}

// The oldest events go when there is no room, and nothing else.
func TestWhatGoesWhenThereIsNoRoom(t *testing.T) {
	store, revision := tier(""), int64(0)
	put := func(key string, former int64) int64 {
		revision++
		store.Put(engine.Record{Revision: revision, Key: key, Value: make([]byte, 900)}, former)
		return revision
	}
	put("/registry/leases/a", 0)
	first := put("/registry/events/0", 0)
	put("/registry/events/0", first) // the first place in the queue is stale
	for i := range 20 {
		put(fmt.Sprintf("/registry/events/%d", i+1), 0)
	}
	var gone []string
	for {
		key, at, over := store.Excess()
		if !over {
			break
		}
		gone = append(gone, key)
		revision++
		store.Put(engine.Record{Revision: revision, Key: key, Deleted: true}, at)
	}
	if len(gone) < 10 || gone[0] != "/registry/events/0" || gone[1] != "/registry/events/1" || slices.Contains(gone, "/registry/leases/a") {
		t.Errorf("gone are %q", gone)
	}
	for at := range revision {
		store.Drop(at + 1)
	}
	if store.total != 0 || store.past != 0 || len(store.values) != 0 {
		t.Errorf("nothing is kept, in %d bytes, %d of them past", store.total, store.past)
	}
}

func TestLeasesAloneAreRefused(t *testing.T) {
	store := tier("")
	if !store.Room(10_000 + reserve) {
		t.Error("there is no room in an empty tier")
	}
	store.Put(engine.Record{Revision: 1, Key: "/registry/leases/a", Value: make([]byte, 20_000)}, 0)
	if _, _, over := store.Excess(); over {
		t.Error("a lease is to go")
	}
	if store.Room(reserve) {
		t.Error("there is room for more than there is")
	}
}

func TestACheckpointIsReadOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "short-lived")
	want := []engine.Record{
		{Revision: 7, Created: 5, Version: 3, Lease: 60, Expires: 1 << 40, Key: "/registry/events/ä", Value: []byte("a\x00b")},
		{Revision: 9, Created: 9, Version: 1, Key: "/registry/leases/x", Value: []byte{}},
	}
	if err := tier(path).Save(engine.State{Revision: 11, Compacted: 4}, want); err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		var got []engine.Record
		state, err := tier(path).Load(func(r engine.Record) error {
			got = append(got, r)
			return nil
		})
		if i == 1 {
			if err != nil || state.Clean || len(got) > 0 {
				t.Errorf("the second time: %+v, %v, %v", state, got, err)
			}
			continue
		}
		if err != nil || state != (engine.State{Revision: 11, Compacted: 4, Clean: true}) || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%+v, %v, %v", state, got, err)
		}
	}
}

// Any byte may be wrong, and the file may end anywhere.
func TestADamagedCheckpointCountsAsNone(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "short-lived")
	records := []engine.Record{{Revision: 7, Key: "/registry/events/a", Value: []byte("value")}}
	if err := tier(path).Save(engine.State{Revision: 11}, records); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2 * len(text) {
		harmed := slices.Clone(text)
		if i < len(text) {
			harmed[i] ^= 4
		} else {
			harmed = harmed[:i-len(text)]
		}
		if err := os.WriteFile(path, harmed, 0o600); err != nil {
			t.Fatal(err)
		}
		count := 0
		state, err := tier(path).Load(func(engine.Record) error { count++; return nil })
		if err != nil || state.Clean || count > 0 {
			t.Fatalf("damage %d of %d: %+v, %d records, %v", i, len(text), state, count, err)
		}
	}
	if kept, _ := filepath.Glob(path + ".damaged-*"); len(kept) == 0 {
		t.Error("no damaged file is kept")
	}
}
