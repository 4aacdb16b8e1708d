package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/k3s-io/kine/pkg/server"

	"github.com/skerry-io/skerry/datastore"
)

// most is how long anything may take that is waited for.
const most = 20 * time.Second

// Engine is what is put through the suite.
type Engine struct {
	// Open opens the store in a directory, which may have been used before. close ends it in order.
	Open func(t testing.TB, dir string) (store datastore.Store, close func())
	// Lacks names the tests that the engine cannot pass, with the reason.
	Lacks map[string]string
}

// Run puts an engine through the suite.
func Run(t *testing.T, e Engine) {
	for name, test := range map[string]func(*testing.T, Engine){
		"keys":       keys,
		"absent":     absent,
		"model":      model,
		"races":      races,
		"watches":    watches,
		"resume":     resume,
		"progress":   progress,
		"compaction": compaction,
		"paging":     paging,
		"leases":     leases,
		"large":      large,
		"reopen":     reopen,
		"closing":    closing,
	} {
		t.Run(name, func(t *testing.T) {
			if why, lacks := e.Lacks[name]; lacks {
				t.Skip(why)
			}
			test(t, e)
		})
	}
}

// opened is a store in a directory of its own.
func opened(t *testing.T, e Engine) datastore.Store {
	t.Helper()
	store, done := e.Open(t, t.TempDir())
	t.Cleanup(done)
	start(t, store)
	return store
}

func start(t *testing.T, store datastore.Store) {
	t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	t.Cleanup(stop)
	if err := store.Start(ctx); err != nil {
		t.Fatal(err)
	}
}

// put writes a key that is not there.
func put(t testing.TB, store datastore.Store, key, value string) int64 {
	t.Helper()
	revision, err := store.Create(t.Context(), key, []byte(value), 0)
	if err != nil {
		t.Fatalf("create %s: %v", key, err)
	}
	return revision
}

// change writes a key that is there.
func change(t testing.TB, store datastore.Store, key, value string, was int64) int64 {
	t.Helper()
	revision, kv, done, err := store.Update(t.Context(), key, []byte(value), was, 0)
	if err != nil || !done {
		t.Fatalf("update %s at %d: %+v, %v, %v", key, was, kv, done, err)
	}
	return revision
}

func take(t testing.TB, store datastore.Store, key string, was int64) int64 {
	t.Helper()
	revision, kv, done, err := store.Delete(t.Context(), key, was)
	if err != nil || !done {
		t.Fatalf("delete %s at %d: %+v, %v, %v", key, was, kv, done, err)
	}
	return revision
}

func now(t testing.TB, store datastore.Store) int64 {
	t.Helper()
	revision, err := store.CurrentRevision(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return revision
}

// text is a key's value, "(none)" without one.
func text(kv *server.KeyValue) string {
	if kv == nil {
		return "(none)"
	}
	return string(kv.Value)
}

func read(t testing.TB, store datastore.Store, key string, revision int64) string {
	t.Helper()
	_, kv, err := store.Get(t.Context(), key, revision, false)
	if err != nil {
		t.Fatalf("get %s at %d: %v", key, revision, err)
	}
	return text(kv)
}
