package watch

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/k3s-io/kine/pkg/server"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const most = 5 * time.Second

// fakeStore keeps its changes in a slice; revisions may have gaps.
type fakeStore struct {
	mu        sync.Mutex
	revision  int64
	compacted int64
	all       []*server.Event
	live      chan []*server.Event
	failed    chan error
	broken    int // how many questions have no answer
}

func (f *fakeStore) Watch(ctx context.Context, _, _ string, revision int64) server.WatchResult {
	past, compacted, _ := f.After(ctx, "", "", revision-1)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.live, f.failed = make(chan []*server.Event, 100), make(chan error, 1)
	if len(past) > 0 {
		f.live <- past
	}
	return server.WatchResult{Events: f.live, Errorc: f.failed, CompactRevision: compacted, CurrentRevision: f.revision}
}

func (f *fakeStore) After(_ context.Context, key, end string, revision int64) ([]*server.Event, int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.broken > 0 {
		f.broken--
		return nil, 0, errors.New("the database does not answer")
	}
	if revision < f.compacted {
		return nil, f.compacted, server.ErrCompacted
	}
	var after []*server.Event
	for _, e := range f.all {
		if e.KV.ModRevision > revision && e.InRange(key, end) {
			after = append(after, e)
		}
	}
	return after, 0, nil
}

func (f *fakeStore) CurrentRevision(context.Context) (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.revision, nil
}

// write changes a key; a silent change takes a revision and tells nobody.
func (f *fakeStore) write(key string, silent bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.revision++
	if silent {
		return
	}
	e := &server.Event{Create: true, KV: &server.KeyValue{Key: key, ModRevision: f.revision}}
	f.all = append(f.all, e)
	if f.live != nil {
		f.live <- []*server.Event{e}
	}
}

// giveUp ends the hub's subscription, as a store does to one that is too slow.
func (f *fakeStore) giveUp() {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.live)
	f.live = nil
}

// fail ends the hub's subscription with an error, after which it hears nothing more.
func (f *fakeStore) fail() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.live = nil
	f.failed <- errors.New("the database does not answer")
}

// forget compacts what the hub has not heard, which hears of these revisions at once.
func (f *fakeStore) forget(compacted int64, heard ...int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var left []*server.Event
	for _, f.revision = range heard {
		left = append(left, &server.Event{Create: true, KV: &server.KeyValue{Key: "a", ModRevision: f.revision}})
	}
	f.all, f.compacted = append(f.all, left...), compacted
	f.live <- left
}

// fakeStream is the server's side of a client's stream.
type fakeStream struct {
	grpc.ServerStream
	ctx  context.Context
	asks chan *etcdserverpb.WatchRequest
	told chan *etcdserverpb.WatchResponse
}

func (f *fakeStream) Context() context.Context { return f.ctx }
func (f *fakeStream) Send(r *etcdserverpb.WatchResponse) error {
	select {
	case f.told <- r:
		return nil
	case <-f.ctx.Done():
		return f.ctx.Err()
	}
}
func (f *fakeStream) Recv() (*etcdserverpb.WatchRequest, error) {
	select {
	case ask := <-f.asks:
		return ask, nil
	case <-f.ctx.Done():
		return nil, io.EOF
	}
}

func (f *fakeStream) next(t *testing.T) *etcdserverpb.WatchResponse {
	t.Helper()
	select {
	case answer := <-f.told:
		return answer
	case <-time.After(most):
		t.Fatal("nothing was told")
		return nil
	}
}

func (f *fakeStream) create(t *testing.T, key string, from int64) *etcdserverpb.WatchResponse {
	t.Helper()
	f.ask(&etcdserverpb.WatchCreateRequest{Key: []byte(key), StartRevision: from})
	return f.next(t)
}

func (f *fakeStream) ask(create *etcdserverpb.WatchCreateRequest) {
	f.asks <- &etcdserverpb.WatchRequest{RequestUnion: &etcdserverpb.WatchRequest_CreateRequest{CreateRequest: create}}
}

func (f *fakeStream) askProgress() {
	f.asks <- &etcdserverpb.WatchRequest{RequestUnion: &etcdserverpb.WatchRequest_ProgressRequest{}}
}

// start runs a hub over a store.
func start(t *testing.T, f *fakeStore) *Hub {
	t.Helper()
	h, ready, ended := New(f), make(chan struct{}), make(chan error, 1)
	ctx, stop := context.WithCancel(t.Context())
	go func() { ended <- h.Run(ctx, func() { close(ready) }) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	<-ready
	return h
}

// connect opens a stream; its end is sent to ended.
func connect(t *testing.T, h *Hub, room int) (f *fakeStream, ended chan error) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	f = &fakeStream{ctx: ctx, asks: make(chan *etcdserverpb.WatchRequest), told: make(chan *etcdserverpb.WatchResponse, room)}
	ended = make(chan error, 1)
	done := make(chan struct{})
	go func() { ended <- h.Watch(f); close(done) }()
	t.Cleanup(func() { stop(); <-done })
	return f, ended
}

func revisions(r *etcdserverpb.WatchResponse) []int64 {
	var all []int64
	for _, e := range r.Events {
		all = append(all, e.Kv.ModRevision)
	}
	return all
}

func TestARevisionThatChangesNothingIsReported(t *testing.T) {
	store := &fakeStore{}
	f, _ := connect(t, start(t, store), 10)
	f.create(t, "a", 0)
	store.write("a", false)
	store.write("", true)
	f.askProgress()
	if got := f.next(t); !slices.Equal(revisions(got), []int64{1}) {
		t.Fatalf("first %v", got)
	}
	if got := f.next(t); got.WatchId != everyWatch || got.Header.Revision != 2 || len(got.Events) > 0 {
		t.Errorf("then %v", got)
	}
}

// lag lets the hub hear of changes only once it ends.
func (f *fakeStore) lag() (end func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	hub, late := f.live, make(chan []*server.Event, 100)
	f.live = late
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		for len(late) > 0 {
			hub <- <-late
		}
		f.live = hub
	}
}

func TestAWatchThatBeginsNowIsNotToldWhatWasBefore(t *testing.T) {
	store := &fakeStore{}
	f, _ := connect(t, start(t, store), 10)
	f.create(t, "a", 0)
	store.write("a", false)
	f.next(t)
	end := store.lag()
	store.write("b", false)
	f.ask(&etcdserverpb.WatchCreateRequest{Key: []byte("b")})
	select {
	case got := <-f.told:
		t.Fatalf("first %v", got)
	case <-time.After(usual / 2):
	}
	end()
	if got := f.next(t); !got.Created || got.Header.Revision != 2 {
		t.Fatalf("first %v", got)
	}
	store.write("b", false)
	if got := f.next(t); !slices.Equal(revisions(got), []int64{3}) {
		t.Errorf("then %v", got)
	}
}

// TestAWatchFromBeforeACompactionThatTheHubHasNotHeard: it is told so, though the hub could still hand the changes on.
func TestAWatchFromBeforeACompactionThatTheHubHasNotHeard(t *testing.T) {
	store := &fakeStore{}
	f, _ := connect(t, start(t, store), 10)
	end := store.lag()
	for range 3 {
		store.write("a", false)
	}
	store.mu.Lock()
	store.compacted = 3
	store.mu.Unlock()
	f.ask(&etcdserverpb.WatchCreateRequest{Key: []byte("a"), StartRevision: 2})
	time.AfterFunc(usual/4, end)
	f.next(t) // that it stands
	if got := f.next(t); !got.Canceled || got.CompactRevision != 3 {
		t.Errorf("then %v", got)
	}
}

func TestALostSubscriptionLosesNothing(t *testing.T) {
	store := &fakeStore{}
	f, _ := connect(t, start(t, store), 10)
	f.create(t, "a", 0)
	store.write("a", false)
	f.next(t)
	store.giveUp()
	store.write("a", false)
	store.write("a", false)
	if got := f.next(t); !slices.Equal(revisions(got), []int64{2, 3}) {
		t.Errorf("after it %v", got)
	}
}

func TestThePastComesFirstAndOnce(t *testing.T) {
	store := &fakeStore{}
	for range 3 {
		store.write("a", false)
	}
	h := start(t, store)
	f, _ := connect(t, h, 10)
	f.create(t, "a", 2)
	if got := f.next(t); !slices.Equal(revisions(got), []int64{2, 3}) {
		t.Errorf("the past: %v", got)
	}
	store.write("b", false)
	store.write("a", false)
	if got := f.next(t); !slices.Equal(revisions(got), []int64{5}) {
		t.Errorf("then %v", got)
	}
}

func TestAWatchFromBeforeTheCompaction(t *testing.T) {
	store := &fakeStore{revision: 9, compacted: 5}
	f, _ := connect(t, start(t, store), 10)
	f.create(t, "a", 3)
	if got := f.next(t); !got.Canceled || got.CompactRevision != 5 || got.CancelReason != server.ErrCompacted.Error() {
		t.Errorf("told %v", got)
	}
}

func TestRequestsThatCannotBe(t *testing.T) {
	f, _ := connect(t, start(t, &fakeStore{}), 10)
	f.asks <- &etcdserverpb.WatchRequest{RequestUnion: &etcdserverpb.WatchRequest_CreateRequest{CreateRequest: &etcdserverpb.WatchCreateRequest{WatchId: 7}}}
	if got := f.next(t); !got.Canceled || got.WatchId != everyWatch {
		t.Errorf("a number of the client's choice: %v", got)
	}
	if got := f.create(t, "a", -1); !got.Canceled || got.WatchId != everyWatch {
		t.Errorf("a revision before all others: %v", got)
	}
	f.ask(&etcdserverpb.WatchCreateRequest{Key: []byte("b"), RangeEnd: []byte("a")})
	if got := f.next(t); !got.Canceled || got.WatchId != everyWatch {
		t.Errorf("a range that ends before it begins: %v", got)
	}
	f.asks <- &etcdserverpb.WatchRequest{RequestUnion: &etcdserverpb.WatchRequest_CancelRequest{CancelRequest: &etcdserverpb.WatchCancelRequest{WatchId: 99}}}
	made := f.create(t, "a", 0)
	f.asks <- &etcdserverpb.WatchRequest{RequestUnion: &etcdserverpb.WatchRequest_CancelRequest{CancelRequest: &etcdserverpb.WatchCancelRequest{WatchId: made.WatchId}}}
	if got := f.next(t); !got.Canceled || got.WatchId != made.WatchId {
		t.Errorf("a cancelled watch: %v", got)
	}
}

func TestAClientThatDoesNotReadIsLetGo(t *testing.T) {
	store := &fakeStore{}
	f, ended := connect(t, start(t, store), 1)
	f.create(t, "a", 0)
	for range 2*mostQueued + 10 { // what the sender took before it got stuck does not count
		store.write("a", false)
	}
	select {
	case err := <-ended:
		if status.Code(err) != codes.Unavailable {
			t.Errorf("ended with %v, and clients of etcd come again when it is Unavailable", err)
		}
	case <-time.After(most):
		t.Error("it is still served")
	}
}
