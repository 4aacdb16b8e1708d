package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/k3s-io/kine/pkg/server"

	"github.com/skerry-io/skerry/datastore"
)

// compaction: the past goes when it is asked for, and nothing else.
func compaction(t *testing.T, e Engine) {
	store := opened(t, e)
	var revisions []int64
	for i := range 30 {
		revisions = append(revisions, put(t, store, fmt.Sprintf("/registry/pods/%02d", i), "1"))
	}
	last := revisions[len(revisions)-1]
	for i := range 10 {
		last = change(t, store, fmt.Sprintf("/registry/pods/%02d", i), "2", revisions[i])
	}
	page, kvs, err := store.List(t.Context(), "/registry/pods/", "/registry/pods0", 5, 0, false)
	if err != nil || len(kvs) != 5 || page != last {
		t.Fatalf("a page: %d, %d, %v", page, len(kvs), err)
	}
	gone := take(t, store, "/registry/pods/20", revisions[20])
	leased := put(t, store, "/registry/leases/a", "1")
	leased = change(t, store, "/registry/leases/a", "2", leased)
	if _, err := store.Compact(t.Context(), leased+1000); !errors.Is(err, server.ErrFutureRev) {
		t.Errorf("a compaction of what is to come: %v", err)
	}
	if _, err := store.Compact(t.Context(), leased); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Compact(t.Context(), leased); !errors.Is(err, server.ErrCompacted) {
		t.Errorf("the same compaction again: %v", err)
	}
	past(t, store, page, leased)
	for key, want := range map[string]string{"/registry/pods/00": "2", "/registry/pods/29": "1", "/registry/pods/20": "(none)", "/registry/leases/a": "2"} {
		for _, revision := range []int64{0, leased} {
			if got := read(t, store, key, revision); got != want {
				t.Errorf("%s is %q at %d after the compaction, want %q", key, got, revision, want)
			}
		}
	}
	if _, count, err := store.Count(t.Context(), "/registry/pods/", "/registry/pods0", leased); err != nil || count != 29 {
		t.Errorf("%d keys are left: %v", count, err)
	}
	if again := put(t, store, "/registry/pods/20", "new"); again <= gone {
		t.Errorf("revision %d follows %d", again, gone)
	}
	shrinks(t, store)
}

// past: everything that asks for what is compacted is told so.
func past(t *testing.T, store datastore.Store, page, compacted int64) {
	t.Helper()
	for _, revision := range []int64{1, page, compacted - 1} {
		_, _, err := store.List(t.Context(), "/registry/pods/04\x00", "/registry/pods0", 5, revision, false)
		if !errors.Is(err, server.ErrCompacted) {
			t.Errorf("the next page of a list at %d: %v", revision, err)
		}
		if _, _, err := store.Get(t.Context(), "/registry/pods/00", revision, false); !errors.Is(err, server.ErrCompacted) {
			t.Errorf("a read at %d: %v", revision, err)
		}
		if _, _, err := store.Count(t.Context(), "/registry/pods/", "/registry/pods0", revision); !errors.Is(err, server.ErrCompacted) {
			t.Errorf("a count at %d: %v", revision, err)
		}
		if _, at, err := store.After(t.Context(), "", "", revision); !errors.Is(err, server.ErrCompacted) || at != compacted {
			t.Errorf("what came after %d: compacted at %d, %v", revision, at, err)
		}
		if result := store.Watch(t.Context(), "/registry/", "/registry0", revision); result.CompactRevision != compacted {
			t.Errorf("a watch from %d: %+v", revision, result)
		}
	}
	if events, _, err := store.After(t.Context(), "", "", compacted); err != nil || len(events) > 0 {
		t.Errorf("what came after the compaction: %v, %v", events, err)
	}
}

// shrinks: what a compaction takes is free for others.
func shrinks(t *testing.T, store datastore.Store) {
	value := make([]byte, 100_000)
	revision := put(t, store, "/registry/configmaps/a", "")
	for range 100 {
		var done bool
		var err error
		if revision, _, done, err = store.Update(t.Context(), "/registry/configmaps/a", value, revision, 0); err != nil || !done {
			t.Fatal(done, err)
		}
	}
	if _, err := store.Compact(t.Context(), revision); err != nil {
		t.Fatal(err)
	}
	until := time.Now().Add(most)
	for {
		size, err := store.DbSize(t.Context())
		if err == nil && size < 5_000_000 {
			return
		}
		if time.Now().After(until) {
			t.Fatalf("one key of 100 kB takes %d bytes: %v", size, err)
		}
		wait(t.Context(), 20*time.Millisecond)
	}
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// paging: a list in pages is a list, whatever is written between them.
func paging(t *testing.T, e Engine) {
	store := opened(t, e)
	for i := range 25 {
		put(t, store, fmt.Sprintf("/registry/pods/%02d", i), fmt.Sprint(i))
	}
	at := now(t, store)
	from, got := "/registry/pods/", 0
	for pages := 0; pages < 10; pages++ {
		_, kvs, err := store.List(t.Context(), from, "/registry/pods0", 4, at, false)
		if err != nil {
			t.Fatal(err)
		}
		for _, kv := range kvs {
			if want := fmt.Sprintf("/registry/pods/%02d", got); kv.Key != want || string(kv.Value) != fmt.Sprint(got) {
				t.Errorf("%s is %q, want %s", kv.Key, kv.Value, want)
			}
			got++
		}
		if len(kvs) < 4 {
			break
		}
		from = kvs[3].Key + "\x00"
		put(t, store, fmt.Sprintf("/registry/pods/%02d-new", pages*7), "x")
		if _, kv, _ := store.Get(t.Context(), fmt.Sprintf("/registry/pods/%02d", 24-pages), 0, false); kv != nil {
			take(t, store, kv.Key, kv.ModRevision)
		}
	}
	if got != 25 {
		t.Errorf("%d keys in all pages", got)
	}
	if _, count, err := store.Count(t.Context(), "/registry/pods/", "/registry/pods0", at); err != nil || count != 25 {
		t.Errorf("counted %d: %v", count, err)
	}
	if _, kvs, err := store.List(t.Context(), "/registry/x", "/registry/a", 0, 0, false); err != nil || len(kvs) != 0 {
		t.Errorf("a range that ends before it begins has %d keys: %v", len(kvs), err)
	}
	openEnds(t, store)
}

// openEnds: the byte 0 stands for the first key as the beginning of a range, and for no end as its end.
func openEnds(t *testing.T, store datastore.Store) {
	t.Helper()
	_, all, err := store.List(t.Context(), "\x00", "\x00", 0, 0, true)
	if err != nil || len(all) == 0 || !slices.ContainsFunc(all, func(kv *server.KeyValue) bool { return kv.Key == "/registry/pods/00" }) {
		t.Fatalf("all keys are %d: %v", len(all), err)
	}
	for from, want := range map[string]int{"\x00": len(all), all[len(all)-1].Key: 1, all[0].Key: len(all)} {
		_, kvs, err := store.List(t.Context(), from, "\x00", 0, 0, false)
		if err != nil || len(kvs) != want {
			t.Errorf("%d keys from %q on, want %d: %v", len(kvs), from, want, err)
		}
		if _, count, err := store.Count(t.Context(), from, "\x00", 0); err != nil || count != int64(want) {
			t.Errorf("counted %d from %q on, want %d: %v", count, from, want, err)
		}
	}
}
