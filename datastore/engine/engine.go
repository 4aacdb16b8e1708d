package engine

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/k3s-io/kine/pkg/server"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// block is how many revisions are claimed at a time. A claim is one small write; a crash skips what is left of it.
const block = 100_000

// queued is how many requests may wait for the writer before they wait in line.
const queued = 256

// Options are what an engine can be told.
type Options struct {
	// Interval is how long an answered write may wait for its commit. With 0 it is answered after it.
	Interval time.Duration
	// History bounds how many changes are kept for those who ask for the past; 0 means the usual.
	History int
	// Failpoint, if set, is told the names of places where a test can end the process.
	Failpoint func(name string)
	Log       *slog.Logger
}

// Engine is a datastore.Store.
type Engine struct {
	options  Options
	disk     Disk
	memory   Memory // nil when all keys are for the disk
	requests chan *request
	closing  chan struct{}
	closed   chan struct{}
	wake     chan struct{} // holds a token when a compaction is wanted

	mu        sync.RWMutex // guards what follows; only the writer changes index and head
	index     *index
	head      int64 // the newest revision that was given to a change, committed or not
	committed int64 // the newest that readers see
	stored    int64 // the newest that is for the disk
	compacted int64 // readers may not ask for what was before it
	pins      map[int64]int
	tellers   map[*subscription]struct{}
	unsaved   map[int64][]byte // values that were answered and wait for their commit
	pruned    int64            // the past before it is gone from the index

	// What follows is the writer's own.
	limit     int64     // revisions up to it are claimed
	leftover  []int64   // revisions that are out of the index and still on disk
	waiting   Batch     // with an interval: what was answered and is not on disk
	weight    int       // of that, in bytes
	since     time.Time // when the first of that was answered
	stuck     error     // with an interval: why the last commit was not done
	refusing  bool      // the last write was refused
	deadlines deadlines
	took      time.Duration // how long the last commit waited for the disk
	crowd     int           // how many it answered, with those who waited by then
	wrote     time.Time     // when the disk was written last
	changed   bool          // the disk has something to tidy
}

func unavailable(format string, args ...any) error {
	return status.Errorf(codes.Unavailable, format, args...)
}

// Open loads what disk and memory know and starts the writer. memory may be nil. The engine closes the disk when it is
// closed, not when Open fails.
func Open(ctx context.Context, disk Disk, memory Memory, options Options) (*Engine, error) {
	if options.Failpoint == nil {
		options.Failpoint = func(string) {}
	}
	if options.History == 0 {
		options.History = usualHistory
	}
	e := &Engine{
		options: options, disk: disk, memory: memory, index: newIndex(), head: 1,
		requests: make(chan *request, queued), closing: make(chan struct{}), closed: make(chan struct{}), wake: make(chan struct{}, 1),
		pins: map[int64]int{}, tellers: map[*subscription]struct{}{}, unsaved: map[int64][]byte{},
	}
	if err := e.load(ctx); err != nil {
		return nil, err
	}
	go e.write(context.WithoutCancel(ctx))
	return e, nil
}

// Start has nothing to do: Open has started everything.
func (e *Engine) Start(context.Context) error { return nil }

// Close ends the writer when it has answered who waits, writes down what memory keeps, and closes the disk.
func (e *Engine) Close() {
	e.mu.Lock()
	select {
	case <-e.closing:
	default:
		close(e.closing)
	}
	e.mu.Unlock()
	<-e.closed
}

// CurrentRevision is that of the last answered change.
func (e *Engine) CurrentRevision(context.Context) (int64, error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.committed, nil
}

// DbSize is what the disk holds, in bytes.
func (e *Engine) DbSize(ctx context.Context) (int64, error) { return e.disk.Size(ctx) }

// WaitForSyncTo has nothing to wait for: what is committed was told.
func (e *Engine) WaitForSyncTo(int64) {}

// Compacted is the revision before which the past cannot be read.
func (e *Engine) Compacted() int64 {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.compacted
}

// load fills the index. Records on disk that belong to memory, because it is new there, move.
func (e *Engine) load(ctx context.Context) error {
	var moved []Record
	state, err := e.disk.Load(ctx, func(r Record) error {
		if e.memory != nil && e.memory.Keeps(r.Key) {
			r.Value = append([]byte(nil), r.Value...)
			moved = append(moved, r)
			return nil
		}
		e.adopt(r)
		e.stored = r.Revision
		return nil
	})
	if err != nil {
		return err
	}
	e.head = max(e.head, state.Revision, state.Compacted) // what the last revision did may be compacted away
	e.compacted, e.limit = state.Compacted, state.Limit
	if e.memory == nil {
		if !state.Clean && e.options.Interval > 0 {
			e.skip()
		}
		e.committed = e.head
		return nil
	}
	return e.loadMemory(ctx, moved, state.Limit == 0)
}

// adopt takes a record that was loaded; the order of revisions is the caller's.
func (e *Engine) adopt(r Record) {
	e.index.add(&r)
	e.head = max(e.head, r.Revision)
	e.expect(r)
}

// skip goes on behind every revision that may have been given out. The past is not whole: changes in it are lost.
func (e *Engine) skip() {
	e.head = max(e.head, e.limit)
	e.compacted = e.head
}

// loadMemory takes what the last run wrote down, unless it had no time to, and what lay on disk before there was a memory.
func (e *Engine) loadMemory(ctx context.Context, moved []Record, fresh bool) error {
	var kept []Record
	state, err := e.memory.Load(func(r Record) error {
		kept = append(kept, r)
		return nil
	})
	if err != nil {
		return err
	}
	switch {
	case state.Clean:
		e.head = max(e.head, state.Revision)
		e.compacted = max(e.compacted, e.head)
	case !fresh:
		e.skip()
	}
	e.committed = e.head
	drop := make([]int64, 0, len(moved))
	for _, r := range newest(kept, moved) {
		e.memory.Put(r, 0)
		e.adopt(r)
	}
	for _, r := range moved {
		drop = append(drop, r.Revision)
	}
	e.index.sort()
	if len(drop) == 0 {
		return nil
	}
	e.compacted = max(e.compacted, e.head)
	return e.disk.Commit(ctx, Batch{Drop: drop, Compacted: e.compacted})
}

// newest gives the last record of each key, without those that are deleted, in the order of revisions.
func newest(all ...[]Record) (live []Record) {
	last := map[string]Record{}
	for _, records := range all {
		for _, r := range records {
			if r.Revision > last[r.Key].Revision {
				last[r.Key] = r
			}
		}
	}
	for _, r := range last {
		if !r.Deleted {
			live = append(live, r)
		}
	}
	slices.SortFunc(live, func(a, b Record) int { return cmp.Compare(a.Revision, b.Revision) })
	return live
}

// write is the one goroutine that changes anything.
func (e *Engine) write(ctx context.Context) {
	defer close(e.closed)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case r := <-e.requests:
			e.commit(ctx, e.gather(r))
		case <-e.wake:
		case <-timer.C:
		case <-e.closing:
			e.end(ctx)
			return
		}
		e.upkeep(ctx, timer)
	}
}

// end answers who still waits, and leaves everything as the next Open wants it.
func (e *Engine) end(ctx context.Context) {
	for len(e.requests) > 0 {
		e.commit(ctx, e.gather(<-e.requests))
	}
	err := e.flush(ctx)
	e.mu.Lock()
	for s := range e.tellers {
		e.quit(s)
	}
	e.mu.Unlock()
	if e.memory != nil && err == nil {
		e.options.Failpoint("engine/before-checkpoint")
		err = e.memory.Save(State{Revision: e.head, Compacted: e.compacted, Clean: true}, e.remembered())
	}
	if err = errors.Join(err, e.disk.Close()); err != nil {
		e.options.Log.Error("the datastore was not closed in order", "err", err)
	}
}

// remembered is what memory has to write down: its keys as they are now.
func (e *Engine) remembered() (records []Record) {
	ends := e.deadlines.byRevision()
	e.index.keys.Ascend(func(n *entry) bool {
		if v := n.last(); !v.deleted && e.memory.Keeps(n.key) {
			r := v.record(n.key)
			r.Value, _ = e.memory.Value(v.revision)
			if end, leased := ends[v.revision]; leased {
				r.Expires = time.Now().Add(time.Until(end)).UnixMilli()
			}
			records = append(records, r)
		}
		return true
	})
	return records
}

func (v *version) record(key string) Record {
	return Record{Revision: v.revision, Created: v.created, Version: int64(v.count), Lease: v.lease, Deleted: v.deleted, Key: key}
}

func (v *version) kv(key string, value []byte) *server.KeyValue {
	r := v.record(key)
	r.Value = value
	return r.kv()
}
