package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/k3s-io/kine/pkg/server"
)

// keys: one key's life, and every change that must be refused.
func keys(t *testing.T, e Engine) {
	store, key := opened(t, e), "/registry/a"
	before := now(t, store)
	first := put(t, store, key, "1")
	if first <= before {
		t.Errorf("revision %d follows %d", first, before)
	}
	if revision, err := store.Create(t.Context(), key, []byte("2"), 0); !errors.Is(err, server.ErrKeyExists) || revision < first {
		t.Errorf("a second create: %d, %v", revision, err)
	}
	second := change(t, store, key, "2", first)
	for _, was := range []int64{first, second + 1, 0, -1} {
		revision, kv, done, err := store.Update(t.Context(), key, []byte("3"), was, 0)
		if err != nil || done || text(kv) != "2" || kv.ModRevision != second || revision != second {
			t.Errorf("an update at revision %d: %d, %+v, %v, %v", was, revision, kv, done, err)
		}
	}
	if _, kv, done, err := store.Delete(t.Context(), key, first); err != nil || done || text(kv) != "2" {
		t.Errorf("a delete of an old revision: %+v, %v, %v", kv, done, err)
	}
	for revision, want := range map[int64]string{0: "2", second: "2", first: "1", before: "(none)"} {
		if got := read(t, store, key, revision); got != want && revision > 0 || revision == 0 && got != want {
			t.Errorf("at revision %d it is %q, want %q", revision, got, want)
		}
	}
	_, kv, err := store.Get(t.Context(), key, 0, false)
	if err != nil || kv.CreateRevision != first || kv.ModRevision != second || kv.Key != key {
		t.Errorf("got %+v, %v", kv, err)
	}
	third, gone, done, err := store.Delete(t.Context(), key, 0)
	if err != nil || !done || text(gone) != "2" || third <= second {
		t.Errorf("a delete: %d, %+v, %v, %v", third, gone, done, err)
	}
	if revision, kv, done, err := store.Update(t.Context(), key, nil, second, 0); err != nil || done || kv != nil || revision < third {
		t.Errorf("an update of what is gone: %d, %+v, %v, %v", revision, kv, done, err)
	}
	if _, kv, done, err := store.Delete(t.Context(), key, second); err != nil || done || kv != nil {
		t.Errorf("a delete of what is gone, at a revision: %+v, %v, %v", kv, done, err)
	}
	if _, _, err := store.Get(t.Context(), key, third+1000, false); !errors.Is(err, server.ErrFutureRev) {
		t.Errorf("a read of what is to come: %v", err)
	}
	again := put(t, store, key, "again")
	if _, kv, _ := store.Get(t.Context(), key, 0, false); kv.CreateRevision != again {
		t.Errorf("it was created at %d, got %+v", again, kv)
	}
}

// absent: a key that is not there is told with a revision at which it was not, and that is no older than what was answered before. The API
// server asks this to know how far its cache has to be.
func absent(t *testing.T, e Engine) {
	store := opened(t, e)
	var asking sync.WaitGroup
	for i := range 8 {
		asking.Go(func() {
			key := fmt.Sprintf("/registry/pods/%d", i)
			revision := put(t, store, key, "0")
			for range 60 {
				revision = change(t, store, key, "1", revision)
				at, kv, err := store.Get(t.Context(), "/registry/pods/", 0, false)
				if err != nil || kv != nil || at < revision {
					t.Errorf("after revision %d a key that is not there: %d, %+v, %v", revision, at, kv, err)
				}
			}
		})
	}
	asking.Wait()
}

// races: many change one key, each time one of them wins.
func races(t *testing.T, e Engine) {
	store, key := opened(t, e), "/registry/race"
	const racers, rounds = 8, 60
	var created atomic.Int32
	var racing sync.WaitGroup
	for i := range racers {
		racing.Go(func() {
			if _, err := store.Create(t.Context(), key, fmt.Appendf(nil, "%d", i), 0); err == nil {
				created.Add(1)
			} else if !errors.Is(err, server.ErrKeyExists) {
				t.Error(err)
			}
		})
	}
	racing.Wait()
	if n := created.Load(); n != 1 {
		t.Fatalf("%d created it", n)
	}
	_, kv, err := store.Get(t.Context(), key, 0, false)
	if err != nil {
		t.Fatal(err)
	}
	first, total := kv.ModRevision, atomic.Int64{}
	seen := sync.Map{}
	for range racers {
		racing.Go(func() {
			revision := first
			for range rounds {
				at, kv, done, err := store.Update(t.Context(), key, []byte("x"), revision, 0)
				if err != nil {
					t.Error(err)
					return
				}
				if done {
					total.Add(1)
					if _, twice := seen.LoadOrStore(at, true); twice {
						t.Errorf("two won revision %d", at)
					}
					revision = at
				} else if kv != nil {
					revision = kv.ModRevision
				}
			}
		})
	}
	racing.Wait()
	events, _, err := store.After(t.Context(), key, "", first)
	if err != nil || int64(len(events)) != total.Load() {
		t.Errorf("%d updates won, and %d happened: %v", total.Load(), len(events), err)
	}
}

// large: values up to what the API server sends.
func large(t *testing.T, e Engine) {
	store := opened(t, e)
	for _, prefix := range []string{"/registry/configmaps/", "/registry/events/"} {
		for _, size := range []int{0, 1, 4000, 4096, 100_000, 1_500_000} {
			key := fmt.Sprintf("%s%d", prefix, size)
			want := bytes.Repeat([]byte{byte(size), 0xff, 0}, size/3+1)[:size]
			revision, err := store.Create(t.Context(), key, want, 0)
			if err != nil {
				t.Fatal(err)
			}
			_, kv, err := store.Get(t.Context(), key, revision, false)
			if err != nil || kv == nil || !bytes.Equal(kv.Value, want) {
				t.Errorf("%s is not what was written: %v", key, err)
			}
		}
		_, kvs, err := store.List(t.Context(), prefix, prefix+"~", 0, 0, false)
		if err != nil || len(kvs) != 6 {
			t.Errorf("listed %d: %v", len(kvs), err)
		}
	}
}
