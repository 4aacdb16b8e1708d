package storetest

import (
	"fmt"
	"testing"
	"time"
)

// leases: a key ends with its lease, and a watch is told; one that is written again in time does not.
func leases(t *testing.T, e Engine) {
	for _, prefix := range []string{"/registry/masterleases/", "/registry/pods/"} {
		t.Run(prefix[len("/registry/"):len(prefix)-1], func(t *testing.T) {
			t.Parallel()
			lease(t, e, prefix)
		})
	}
}

func lease(t *testing.T, e Engine, prefix string) {
	store := opened(t, e)
	ends, err := store.Create(t.Context(), prefix+"ends", []byte("1"), 2)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	renewed, err := store.Create(t.Context(), prefix+"renewed", []byte("1"), 2)
	if err != nil {
		t.Fatal(err)
	}
	if _, kv, _ := store.Get(t.Context(), prefix+"ends", 0, false); kv == nil || kv.Lease != 2 {
		t.Errorf("got %+v", kv)
	}
	put(t, store, prefix+"stays", "1")
	if _, _, done, err := store.Update(t.Context(), prefix+"renewed", []byte("2"), renewed, 60); err != nil || !done {
		t.Fatal(done, err)
	}
	result := store.Watch(t.Context(), prefix, prefix+"~", now(t, store)+1)
	deadline := time.After(most)
	for {
		select {
		case events := <-result.Events:
			if len(events) == 0 {
				continue
			}
			if len(events) != 1 || !events[0].Delete || events[0].KV.Key != prefix+"ends" || events[0].PrevKV.ModRevision != ends {
				t.Errorf("told %v", events)
			}
		case <-deadline:
			t.Fatal("the key outlives its lease")
		}
		break
	}
	if took := time.Since(began); took < 1500*time.Millisecond {
		t.Errorf("it lived for %s of 2 s", took)
	}
	for key, want := range map[string]string{"ends": "(none)", "renewed": "2", "stays": "1"} {
		if got := read(t, store, prefix+key, 0); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
}

// reopen: what was there is there again, with its revisions and what is left of its time.
func reopen(t *testing.T, e Engine) {
	dir := t.TempDir()
	store, done := e.Open(t, dir)
	start(t, store)
	want := map[string]int64{}
	for _, prefix := range []string{"/registry/pods/", "/registry/leases/", "/registry/events/"} {
		for i := range 20 {
			key := fmt.Sprintf("%s%d", prefix, i)
			want[key] = put(t, store, key, "1")
			if i%3 == 0 {
				want[key] = change(t, store, key, "2", want[key])
			}
		}
		take(t, store, prefix+"1", want[prefix+"1"])
		delete(want, prefix+"1")
	}
	if _, err := store.Create(t.Context(), "/registry/events/short", []byte("1"), 2); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		last := now(t, store)
		done()
		store, done = e.Open(t, dir)
		start(t, store)
		if revision := now(t, store); revision < last {
			t.Fatalf("revision %d follows %d", revision, last)
		}
		for key, revision := range want {
			if _, kv, err := store.Get(t.Context(), key, 0, false); err != nil || kv == nil || kv.ModRevision != revision {
				t.Errorf("%s is %+v, want revision %d: %v", key, kv, revision, err)
			}
		}
		if got := read(t, store, "/registry/pods/1", 0); got != "(none)" {
			t.Errorf("a deleted key is %q", got)
		}
		key := fmt.Sprintf("/registry/pods/run-%d", last)
		if want[key] = put(t, store, key, "1"); want[key] <= last {
			t.Errorf("revision %d follows %d", want[key], last)
		}
	}
	until := time.Now().Add(most)
	for read(t, store, "/registry/events/short", 0) != "(none)" {
		if time.Now().After(until) {
			t.Fatal("a key outlives its lease when there was a restart")
		}
		wait(t.Context(), 50*time.Millisecond)
	}
	done()
}

// closing: what is asked when a store closes is done and answered, or refused.
func closing(t *testing.T, e Engine) {
	dir := t.TempDir()
	first, done := e.Open(t, dir)
	start(t, first)
	answered := make(chan map[string]int64, 8)
	for w := range cap(answered) {
		go func() {
			wrote := map[string]int64{}
			for i := 0; ; i++ {
				key := fmt.Sprintf("/registry/%s/%d-%d", []string{"pods", "leases"}[i%2], w, i)
				revision, err := first.Create(t.Context(), key, []byte("1"), 0)
				if err != nil {
					break
				}
				wrote[key] = revision
			}
			answered <- wrote
		}()
	}
	wait(t.Context(), 200*time.Millisecond)
	done()
	store, done := e.Open(t, dir)
	defer done()
	start(t, store)
	for range cap(answered) {
		select {
		case wrote := <-answered:
			for key, revision := range wrote {
				if _, kv, err := store.Get(t.Context(), key, 0, false); err != nil || kv == nil || kv.ModRevision != revision {
					t.Fatalf("%s was written at %d, and is %+v: %v", key, revision, kv, err)
				}
			}
		case <-time.After(most):
			t.Fatal("a request is never answered")
		}
	}
}
