package datastore_test

import (
	"context"
	"fmt"
	"maps"
	"testing"

	"github.com/k3s-io/kine/pkg/server"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/skerry-io/skerry/datastore"
)

// busy does something after the first answers of a store, before they are used.
type busy struct {
	datastore.Store
	listed, told func(datastore.Store)
}

func (b *busy) List(ctx context.Context, key, end string, limit, revision int64, keysOnly bool) (int64, []*server.KeyValue, error) {
	at, kvs, err := b.Store.List(ctx, key, end, limit, revision, keysOnly)
	if do := b.listed; do != nil && limit > 0 {
		b.listed = nil
		do(b.Store)
	}
	return at, kvs, err
}

func (b *busy) CurrentRevision(ctx context.Context) (int64, error) {
	at, err := b.Store.CurrentRevision(ctx)
	if do := b.told; do != nil {
		b.told = nil
		do(b.Store)
	}
	return at, err
}

// change writes keys as others do meanwhile.
func change(t *testing.T, store datastore.Store) (last int64) {
	for _, key := range []string{"/registry/pods/1", "/registry/pods/5", "/registry/pods/8"} {
		_, kv, err := store.Get(t.Context(), key, 0, true)
		if err == nil && kv == nil {
			t.Errorf("%s is gone", key)
			return last
		}
		if err == nil {
			last, _, _, err = store.Update(t.Context(), key, []byte("2"), kv.ModRevision, 0)
		}
		if err != nil {
			t.Error(err)
		}
	}
	last, _, _, err := store.Delete(t.Context(), "/registry/pods/2", 0)
	if err == nil {
		last, err = store.Create(t.Context(), "/registry/pods/00", []byte("2"), 0)
	}
	if err != nil {
		t.Error(err)
	}
	return last
}

// Whoever lists page by page and watches from there on, as the API server does, knows everything, whatever is changed meanwhile.
func TestPagesAndAWatchMissNothing(t *testing.T) {
	for name, hook := range map[string]func(*busy, func(datastore.Store)){
		"after the page was read":   func(b *busy, do func(datastore.Store)) { b.listed = do },
		"before the page is read":   func(b *busy, do func(datastore.Store)) { b.told = do },
		"before, and compacted too": func(b *busy, do func(datastore.Store)) { b.told = func(s datastore.Store) { do(s); compact(t, s) } },
	} {
		between := &busy{}
		c, _ := serveThrough(t, t.TempDir(), func(store datastore.Store) datastore.Store {
			between.Store = store
			return between
		})
		for i := range 10 {
			create(t, c, fmt.Sprintf("/registry/pods/%d", i), "1")
		}
		var last int64
		hook(between, func(store datastore.Store) { last = change(t, store) })
		known := map[string]string{}
		page, err := c.Get(t.Context(), "/registry/pods/", clientv3.WithRange("/registry/pods0"), clientv3.WithLimit(3))
		if err != nil || last == 0 || !page.More || page.Count <= 3 {
			t.Fatalf("%s: %v, %v; then revision %d", name, page, err, last)
		}
		for at := page.Header.Revision; ; {
			for _, kv := range page.Kvs {
				if known[string(kv.Key)] = string(kv.Value); kv.ModRevision > at {
					t.Errorf("%s: a list of revision %d has %v", name, at, kv)
				}
			}
			if !page.More {
				watched(t, c, known, at, last)
				break
			}
			next := string(page.Kvs[len(page.Kvs)-1].Key) + "\x00"
			if page, err = c.Get(t.Context(), next, clientv3.WithRange("/registry/pods0"), clientv3.WithLimit(3), clientv3.WithRev(at)); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		want := map[string]string{}
		now, err := c.Get(t.Context(), "/registry/pods/", clientv3.WithPrefix())
		if err != nil {
			t.Fatal(err)
		}
		for _, kv := range now.Kvs {
			want[string(kv.Key)] = string(kv.Value)
		}
		if !maps.Equal(known, want) {
			t.Errorf("%s: who lists and watches knows %v, and there is %v", name, known, want)
		}
	}
}

// watched brings what is known at a revision up to another.
func watched(t *testing.T, c *clientv3.Client, known map[string]string, from, to int64) {
	t.Helper()
	if from >= to {
		return
	}
	ctx, stop := context.WithTimeout(clientv3.WithRequireLeader(t.Context()), most)
	defer stop()
	answers := c.Watch(ctx, "/registry/pods/", clientv3.WithPrefix(), clientv3.WithRev(from+1), clientv3.WithCreatedNotify())
	<-answers
	for from < to {
		answer, open := <-answers
		if err := answer.Err(); err != nil || !open {
			t.Fatalf("the watch ends at %d, before %d: %v", from, to, err)
		}
		for _, event := range answer.Events {
			if known[string(event.Kv.Key)] = string(event.Kv.Value); event.Type == clientv3.EventTypeDelete {
				delete(known, string(event.Kv.Key))
			}
		}
		from = answer.Header.Revision
	}
}

func compact(t *testing.T, store datastore.Store) {
	t.Helper()
	now, err := store.CurrentRevision(t.Context())
	if err == nil {
		_, err = store.Compact(t.Context(), now)
	}
	if err != nil {
		t.Error(err)
	}
}
