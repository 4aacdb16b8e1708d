package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/k3s-io/kine/pkg/server"

	"github.com/skerry-io/skerry/datastore"
	"github.com/skerry-io/skerry/datastore/watch"
)

// tellEvent puts an event into words.
func tellEvent(e *server.Event) string {
	what, value, before, at := "update", "", "", int64(0)
	switch {
	case e.Delete:
		what = "delete"
	case e.Create:
		what = "create"
	}
	if !e.Delete {
		value = string(e.KV.Value)
	}
	if !e.Create && e.PrevKV != nil {
		before, at = string(e.PrevKV.Value), e.PrevKV.ModRevision
	}
	return fmt.Sprintf("%s %s@%d=%q was %q@%d", what, e.KV.Key, e.KV.ModRevision, value, before, at)
}

// storm writes to some keys until everything is written, from several goroutines.
func storm(t *testing.T, store datastore.Store, writers, each int) {
	var writing sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			revisions := map[string]int64{}
			for i := range each {
				key := fmt.Sprintf("/registry/%s/%d-%d", []string{"pods", "leases", "events"}[rand.IntN(3)], w, rand.IntN(5))
				value := fmt.Sprintf("%d", i)
				switch was := revisions[key]; {
				case was == 0:
					revisions[key] = put(t, store, key, value)
				case rand.IntN(6) == 0:
					take(t, store, key, was)
					revisions[key] = 0
				default:
					revisions[key] = change(t, store, key, value, was)
				}
			}
		})
	}
	writing.Wait()
}

// collect follows a watch until it has told the last revision.
func collect(t *testing.T, store datastore.Store, key, end string, from int64, last func() int64) (told []string) {
	ctx, stop := context.WithTimeout(context.WithoutCancel(t.Context()), most)
	defer stop()
	seen := from - 1
	for seen < last() {
		result := store.Watch(ctx, key, end, seen+1)
		if result.CompactRevision > 0 {
			t.Errorf("a watch from %d says that it is compacted", seen+1)
			return told
		}
		for seen < last() {
			events, open := next(ctx, result.Events, last, seen)
			for _, event := range events {
				told, seen = append(told, tellEvent(event)), event.KV.ModRevision
			}
			if !open {
				break
			}
		}
		if ctx.Err() != nil {
			t.Errorf("a watch from %d was told of revision %d, and not of %d", from, seen, last())
			return told
		}
	}
	return told
}

// next waits for events, and looks now and then whether all were told.
func next(ctx context.Context, from <-chan []*server.Event, last func() int64, seen int64) ([]*server.Event, bool) {
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		select {
		case events, open := <-from:
			return slices.DeleteFunc(slices.Clone(events), func(e *server.Event) bool { return e == nil }), open
		case <-ctx.Done():
			return nil, false
		case <-again.C:
			if seen >= last() {
				return nil, true
			}
		}
	}
}

// watches: whoever begins at whatever revision is told everything from there on, once, in order, as it was.
func watches(t *testing.T, e Engine) {
	store := opened(t, e)
	const writers, each, watchers = 4, 250, 12
	first := put(t, store, "/registry/pods/first", "1")
	var mu sync.Mutex
	end := int64(0)
	last := func() int64 {
		mu.Lock()
		defer mu.Unlock()
		if end == 0 {
			return 1 << 62
		}
		return end
	}
	told := make([][]string, watchers)
	from := make([]int64, watchers)
	var watching sync.WaitGroup
	for i := range watchers {
		watching.Go(func() {
			select { // some begin when much has happened
			case <-time.After(time.Duration(i) * 10 * time.Millisecond):
			case <-t.Context().Done():
			}
			from[i] = first + 1 + rand.Int64N(now(t, store)-first+1)
			told[i] = collect(t, store, "/registry/", "/registry0", from[i], last)
		})
	}
	storm(t, store, writers, each)
	finished := put(t, store, "/registry/pods/last", "1")
	mu.Lock()
	end = finished
	mu.Unlock()
	watching.Wait()
	events, _, err := store.After(t.Context(), "/registry/", "/registry0", first)
	if err != nil || len(events) != writers*each+1 {
		t.Fatalf("%d changes happened, want %d: %v", len(events), writers*each+1, err)
	}
	for i := range told {
		var want []string
		for _, event := range events {
			if event.KV.ModRevision >= from[i] {
				want = append(want, tellEvent(event))
			}
		}
		if !slices.Equal(told[i], want) {
			t.Errorf("a watch from revision %d was told %d changes of %d, or others", from[i], len(told[i]), len(want))
		}
	}
}

// resume: a watch that ended goes on where it was; one from before a compaction is told so.
func resume(t *testing.T, e Engine) {
	store := opened(t, e)
	revision := put(t, store, "/registry/pods/a", "0")
	for i := range 20 {
		revision = change(t, store, "/registry/pods/a", fmt.Sprint(i+1), revision)
	}
	seen := revision - 20
	for seen < revision {
		ctx, stop := context.WithTimeout(t.Context(), most)
		result := store.Watch(ctx, "/registry/pods/", "/registry/pods0", seen+1)
		events := told(result)
		for _, event := range events {
			if event.KV.ModRevision != seen+1 {
				t.Errorf("revision %d after %d", event.KV.ModRevision, seen)
			}
			seen = event.KV.ModRevision
			if rand.IntN(3) == 0 {
				break
			}
		}
		stop()
		if len(events) == 0 {
			t.Fatal("nothing was told")
		}
	}
	ctx, stop := context.WithTimeout(t.Context(), most)
	defer stop()
	live := store.Watch(ctx, "/registry/pods/a", "", revision+1)
	took := take(t, store, "/registry/pods/a", revision)
	if events := told(live); len(events) != 1 || !events[0].Delete || events[0].KV.ModRevision != took || text(events[0].PrevKV) != "20" {
		t.Errorf("told %v", events)
	}
}

// told is what a watch says next; a store may also say that there is nothing for it.
func told(w server.WatchResult) []*server.Event {
	for events := range w.Events {
		if len(events) > 0 {
			return events
		}
	}
	return nil
}

// progress: whoever knows what a watch's report says knows all of it. The hub relies on the order in which a store tells.
func progress(t *testing.T, e Engine) {
	store := opened(t, e)
	hub, ready, ended := watch.New(store), make(chan struct{}), make(chan error, 1)
	ctx, stop := context.WithCancel(t.Context())
	go func() { ended <- hub.Run(ctx, func() { close(ready) }) }()
	select {
	case <-ready:
	case err := <-ended:
		t.Fatal(err)
	}
	storm(t, store, 4, 50)
	stop()
	select {
	case err := <-ended:
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	case <-time.After(most):
		t.Error("the hub does not end")
	}
}
