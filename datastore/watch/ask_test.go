package watch

import (
	"slices"
	"testing"

	"github.com/k3s-io/kine/pkg/server"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
)

// TestWhatAWatchIsAbout: past and present, as the client asked for it.
func TestWhatAWatchIsAbout(t *testing.T) {
	for what, c := range map[string]struct {
		ask  *etcdserverpb.WatchCreateRequest
		want []int64
	}{
		"a key":                 {&etcdserverpb.WatchCreateRequest{Key: []byte("b")}, []int64{2, 3, 5, 6}},
		"a range":               {&etcdserverpb.WatchCreateRequest{Key: []byte("a"), RangeEnd: []byte("c")}, []int64{1, 2, 3, 5, 6}},
		"all keys from one on":  {&etcdserverpb.WatchCreateRequest{Key: []byte("b"), RangeEnd: []byte{0}}, []int64{2, 3, 4, 5, 6}},
		"all keys":              {&etcdserverpb.WatchCreateRequest{Key: []byte{0}, RangeEnd: []byte{0}}, []int64{1, 2, 3, 4, 5, 6}},
		"no key":                {&etcdserverpb.WatchCreateRequest{}, nil},
		"nothing but deletions": {&etcdserverpb.WatchCreateRequest{Key: []byte("b"), Filters: []etcdserverpb.WatchCreateRequest_FilterType{etcdserverpb.WatchCreateRequest_NOPUT}}, []int64{3, 6}},
		"no deletions":          {&etcdserverpb.WatchCreateRequest{Key: []byte("b"), Filters: []etcdserverpb.WatchCreateRequest_FilterType{etcdserverpb.WatchCreateRequest_NODELETE}}, []int64{2, 5}},
	} {
		t.Run(what, func(t *testing.T) {
			store := &fakeStore{}
			change(store, "a", "b", "-b")
			f, _ := connect(t, start(t, store), 10)
			c.ask.StartRevision = 1
			f.ask(c.ask)
			if got := f.next(t); !got.Created || got.Header.Revision != 3 {
				t.Errorf("the watch stands: %v", got)
			}
			change(store, "c", "b", "-b")
			f.askProgress() // what comes after is not to come any more
			var told []int64
			for {
				got := f.next(t)
				if len(got.Events) == 0 && got.Header.Revision == 6 {
					break
				}
				told = append(told, revisions(got)...)
			}
			if !slices.Equal(told, c.want) {
				t.Errorf("told %v, want %v", told, c.want)
			}
		})
	}
}

// change writes keys, and removes those with a dash.
func change(f *fakeStore, keys ...string) {
	for _, key := range keys {
		f.mu.Lock()
		f.revision++
		e := &server.Event{Create: key[0] != '-', Delete: key[0] == '-', KV: &server.KeyValue{Key: key, ModRevision: f.revision}, PrevKV: &server.KeyValue{}}
		if e.Delete {
			e.KV.Key = key[1:]
		}
		f.all = append(f.all, e)
		if f.live != nil {
			f.live <- []*server.Event{e}
		}
		f.mu.Unlock()
	}
}

// TestWhatWasBefore is told to whom it concerns.
func TestWhatWasBefore(t *testing.T) {
	for _, wanted := range []bool{true, false} {
		store := &fakeStore{}
		f, _ := connect(t, start(t, store), 10)
		f.ask(&etcdserverpb.WatchCreateRequest{Key: []byte("a"), PrevKv: wanted})
		f.next(t)
		change(store, "a", "-a")
		for _, before := range []bool{false, wanted} { // nothing was before a creation
			if got := f.next(t); len(got.Events) != 1 || (got.Events[0].PrevKv != nil) != before {
				t.Errorf("asked %v, told %v", wanted, got)
			}
		}
	}
}
