package watch

import (
	"context"
	"errors"
	"slices"

	"github.com/k3s-io/kine/pkg/server"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// everyWatch in the place of a watch's number means all watches of the stream.
const everyWatch = clientv3.InvalidWatchID

// watch is one range that a client follows; the hub's lock guards it.
type watch struct {
	id         int64
	key, end   string
	without    []mvccpb.Event_EventType // the client does not want to hear of these
	former     bool                     // the client wants to know what was before
	from       int64                    // the first revision to be told
	progress   bool                     // the client wants to know the revision when nothing happens
	catchingUp bool                     // the past is still being read; what happens meanwhile is held
	held       []*server.Event
}

// onwards as the end of a range means all keys from its beginning on.
const onwards = "\x00"

// errEmptyRange is the answer to a range that ends before it begins.
var errEmptyRange = errors.New("the range of the watch has no keys")

func newWatch(id int64, ask *etcdserverpb.WatchCreateRequest) *watch {
	w := &watch{id: id, key: storedKey(ask.Key), end: string(ask.RangeEnd), from: ask.StartRevision, former: ask.PrevKv, progress: ask.ProgressNotify}
	if w.key == "" { // as with etcd; a store would take it for everything
		w.key = onwards
	}
	for _, filter := range ask.Filters {
		switch filter {
		case etcdserverpb.WatchCreateRequest_NOPUT:
			w.without = append(w.without, mvccpb.PUT)
		case etcdserverpb.WatchCreateRequest_NODELETE:
			w.without = append(w.without, mvccpb.DELETE)
		}
	}
	return w
}

// covers says whether a change is one that the watch is about.
func (w *watch) covers(e *server.Event) bool {
	what := mvccpb.PUT
	if e.Delete {
		what = mvccpb.DELETE
	}
	return !slices.Contains(w.without, what) && (e.InRange(w.key, w.end) || w.end == onwards && e.KV.Key >= w.key)
}

// create opens a watch: first the answer that it stands, then the past from the wanted revision on, then what happens.
func (s *stream) create(ctx context.Context, ask *etcdserverpb.WatchCreateRequest) {
	switch {
	case ask.WatchId != clientv3.AutoWatchID:
		s.refuse(server.ErrInvalidWatch)
		return
	case ask.StartRevision < 0:
		s.refuse(server.ErrCompacted)
		return
	}
	w := newWatch(s.hub.lastID.Add(1), ask)
	if w.end != "" && w.end != onwards && w.end <= w.key {
		s.refuse(errEmptyRange)
		return
	}
	// What was answered before may be on its way to the hub. A watch that begins now is not told of it, and one that begins there is to hear
	// if that is compacted.
	if w.from == 0 || w.from > s.hub.now() {
		if err := s.hub.reachFrom(ctx, w.from); err != nil && w.from == 0 {
			s.end(err)
			return
		}
	}
	s.hub.mu.Lock()
	seen := s.hub.seen
	if w.from == 0 {
		w.from = seen + 1
	}
	w.catchingUp = w.from <= seen
	s.watches[w.id] = w
	// A client that has heard of nothing yet comes again from this revision on.
	s.tell(&etcdserverpb.WatchResponse{Header: &etcdserverpb.ResponseHeader{Revision: seen}, Created: true, WatchId: w.id})
	s.hub.mu.Unlock()
	if w.catchingUp {
		s.catchUp(ctx, w)
	}
}

// catchUp tells a watch the past, and then what was held meanwhile.
func (s *stream) catchUp(ctx context.Context, w *watch) {
	key, end := w.key, w.end
	if end == onwards { // the store has no word for it
		key, end = "", ""
	}
	past, compacted, err := s.hub.source.After(ctx, key, end, w.from-1)
	if errors.Is(err, server.ErrCompacted) {
		s.cancel(w.id, compacted, err)
		return
	}
	if err != nil {
		s.end(err)
		return
	}
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	held := w.held
	w.catchingUp, w.held = false, nil
	if _, open := s.watches[w.id]; open {
		w.take(s, past)
		w.take(s, held)
	}
}

// take tells the changes that are in the watch's range and new to it; the caller holds the hub's lock.
func (w *watch) take(s *stream, events []*server.Event) {
	var mine []*server.Event
	for _, e := range events {
		if e.KV.ModRevision >= w.from && w.covers(e) {
			mine = append(mine, e)
		}
	}
	if len(mine) == 0 {
		return
	}
	if w.catchingUp {
		w.held = append(w.held, mine...)
		return
	}
	last := mine[len(mine)-1].KV.ModRevision
	w.from = last + 1
	s.tell(&etcdserverpb.WatchResponse{Header: &etcdserverpb.ResponseHeader{Revision: last}, WatchId: w.id, Events: toEvents(mine, w.former)})
}

// refuse answers a request for a watch that cannot be.
func (s *stream) refuse(why error) {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	s.tell(&etcdserverpb.WatchResponse{Header: &etcdserverpb.ResponseHeader{Revision: s.hub.seen}, WatchId: everyWatch,
		Created: true, Canceled: true, CancelReason: why.Error()})
}

// cancel ends a watch, for a reason or because the client wants it. compacted is the revision before which the past is gone.
func (s *stream) cancel(id, compacted int64, why error) {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	if _, open := s.watches[id]; !open {
		return
	}
	delete(s.watches, id)
	answer := &etcdserverpb.WatchResponse{Header: &etcdserverpb.ResponseHeader{Revision: s.hub.seen}, WatchId: id, Canceled: true, CompactRevision: compacted}
	if why != nil {
		answer.CancelReason = why.Error()
	}
	s.tell(answer)
}

// progress tells a client that it knows everything up to revision.
func progress(id, revision int64) *etcdserverpb.WatchResponse {
	return &etcdserverpb.WatchResponse{Header: &etcdserverpb.ResponseHeader{Revision: revision}, WatchId: id}
}
