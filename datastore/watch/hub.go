package watch

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/k3s-io/kine/pkg/server"
)

// Source is what a Hub needs of a store.
type Source interface {
	// Watch tells all changes of a range from a revision on; an empty key and end mean everything.
	Watch(ctx context.Context, key, end string, revision int64) server.WatchResult
	// After gives the changes of a range that are newer than a revision, with the compacted revision when it is ErrCompacted.
	After(ctx context.Context, key, end string, revision int64) (events []*server.Event, compacted int64, err error)
	// CurrentRevision is that of the last change.
	CurrentRevision(ctx context.Context) (int64, error)
}

const (
	// notifyInterval is how often idle watches that asked for it are told the revision, so that their clients can resume
	// from a recent one. etcd's default is ten minutes; a client that needs to know now asks.
	notifyInterval = time.Minute
	// usual is how long a change takes at most from the store to the hub before the hub looks for it.
	usual = 200 * time.Millisecond
	// again is the pause before the next subscription, when the store ended one.
	again = 100 * time.Millisecond
)

// Hub hands the changes of a store to all watches.
type Hub struct {
	source Source
	lastID atomic.Int64

	mu      sync.Mutex // guards what follows, and the watches of every stream
	seen    int64      // all changes up to this revision were handed to the streams
	moved   chan struct{}
	streams map[*stream]struct{}
}

// New makes a hub that knows of nothing before Run.
func New(source Source) *Hub {
	return &Hub{source: source, moved: make(chan struct{}), streams: map[*stream]struct{}{}}
}

// Run hands on what happens until ctx ends. It calls ready when watches can come.
func (h *Hub) Run(ctx context.Context, ready func()) error {
	revision, err := h.source.CurrentRevision(ctx)
	if err != nil {
		return err
	}
	h.deliver(nil, revision)
	ready()
	for {
		subscription, end := context.WithCancel(ctx)
		h.follow(subscription, h.source.Watch(subscription, "", "", h.now()+1))
		end()
		select {
		case <-time.After(again):
		case <-ctx.Done():
			return nil
		}
	}
}

// follow ends with the subscription: when ctx ends, when the store failed or gave up a hub that was too slow for it, or when changes are
// missing. The next one goes on where it ended, and is told if what comes then is gone.
func (h *Hub) follow(ctx context.Context, changes server.WatchResult) {
	if changes.CompactRevision > 0 { // what happened since is gone, so nobody can be told
		h.dropAll(server.ErrCompacted)
		h.deliver(nil, changes.CurrentRevision)
		return
	}
	notify := time.NewTicker(notifyInterval)
	defer notify.Stop()
	for {
		select {
		case events, open := <-changes.Events:
			if !open || h.missing(ctx, events) {
				return
			}
			if len(events) > 0 {
				h.deliver(events, events[len(events)-1].KV.ModRevision)
			}
		case <-changes.Errorc:
			return
		case <-notify.C:
			h.notify()
		case <-ctx.Done():
			return
		}
	}
}

// missing says that changes may lie before or between these that the store no longer has: another server has them compacted while this one
// was cut off from the database. Most revisions that are left out changed nothing.
func (h *Hub) missing(ctx context.Context, events []*server.Event) bool {
	next := h.now() + 1
	for _, e := range events {
		if e.KV.ModRevision > next {
			_, _, err := h.source.After(ctx, "", "", h.now())
			return err != nil
		}
		next = e.KV.ModRevision + 1
	}
	return false
}

// deliver hands changes, in the order of their revisions, to the watches they concern. After it nothing up to revision
// is still to come.
func (h *Hub) deliver(events []*server.Event, revision int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.streams {
		for _, w := range s.watches {
			w.take(s, events)
		}
	}
	if revision > h.seen {
		h.seen = revision
		close(h.moved)
		h.moved = make(chan struct{})
	}
}

// now is the revision up to which everything was handed on.
func (h *Hub) now() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.seen
}

// reachNow waits until everything that has happened by now was handed on.
func (h *Hub) reachNow(ctx context.Context) error { return h.reachFrom(ctx, 0) }

// reachFrom does so if a revision is among that.
func (h *Hub) reachFrom(ctx context.Context, revision int64) error {
	now, err := h.source.CurrentRevision(ctx)
	if err != nil || revision > now {
		return err
	}
	return h.reach(ctx, now)
}

// reach waits until all changes up to revision were handed on.
func (h *Hub) reach(ctx context.Context, revision int64) error {
	for {
		h.mu.Lock()
		seen, moved := h.seen, h.moved
		h.mu.Unlock()
		if seen >= revision {
			return nil
		}
		late := time.NewTimer(usual)
		select {
		case <-moved:
			late.Stop()
			continue
		case <-ctx.Done():
			late.Stop()
			return ctx.Err()
		case <-late.C:
		}
		// A store may count revisions that change nothing. If there is no change in between, there is none to wait for.
		events, _, err := h.source.After(ctx, "", "", seen)
		if err != nil {
			return err
		}
		if len(events) == 0 {
			h.deliver(nil, revision)
		}
	}
}

// notify tells the idle watches that asked for it how far they are.
func (h *Hub) notify() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.streams {
		for _, w := range s.watches {
			if w.progress && !w.catchingUp {
				s.tell(progress(w.id, h.seen))
			}
		}
	}
}

func (h *Hub) dropAll(why error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.streams {
		s.end(why)
	}
}
