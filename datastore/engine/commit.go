package engine

import (
	"context"
	"time"

	"github.com/k3s-io/kine/pkg/server"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	// mostRequests and mostBytes bound one commit, so that the first of it does not wait for ever.
	mostRequests = 1000
	mostBytes    = 4 << 20
	// patience is the part of a commit's time that is waited for others before the next, and briefly is no matter, if it is not longer
	// than a commit.
	patience = 8
	briefly  = time.Millisecond
	// mostWaiting bounds what an interval may hold back, in bytes.
	mostWaiting = 8 << 20
)

// group is what is committed together.
type group struct {
	requests []*request
	answers  []answer
	disk     []Record
	memory   []Record
	former   []int64 // for each record of memory, the revision that it follows
	events   []*server.Event
	follows  []int64 // for each event, the revision that it follows
}

// gather takes what waits besides the first request. It also waits a little for those who were answered just now: they ask again at once,
// and would come a whole commit later otherwise. Where processors are short this costs nothing, and there are fewer commits.
func (e *Engine) gather(first *request) *group {
	g, bytes := &group{requests: []*request{first}}, len(first.value)
	var late <-chan time.Time
	for len(g.requests) < mostRequests && bytes < mostBytes {
		var r *request
		select {
		case r = <-e.requests:
		default:
			if e.took == 0 || len(g.requests) >= e.crowd {
				return g
			}
			if late == nil {
				timer := time.NewTimer(max(e.took/patience, min(e.took, briefly)))
				defer timer.Stop()
				late = timer.C
			}
			select {
			case r = <-e.requests:
			case <-late:
				return g
			case <-e.closing:
				return g
			}
		}
		g.requests, bytes = append(g.requests, r), bytes+len(r.value)
	}
	return g
}

// commit decides about a group of requests, keeps what comes of them, tells the watches, and answers. It says whether
// that was so: all of a group is kept or nothing.
func (e *Engine) commit(ctx context.Context, g *group) bool {
	e.decide(g)
	begin := time.Now()
	err := e.keep(ctx, g)
	if e.took = time.Since(begin); len(g.disk) == 0 || e.options.Interval > 0 {
		e.took = 0 // nobody waited for a sync
	}
	e.crowd = len(g.requests) + len(e.requests)
	e.complain(err, len(g.disk) > 0)
	if err != nil {
		e.mu.Lock()
		e.index.undo(e.committed)
		e.head = e.committed
		e.mu.Unlock()
	} else {
		e.options.Failpoint("engine/kept")
		e.publish(g)
		e.options.Failpoint("engine/published")
	}
	for i, r := range g.requests {
		switch {
		case r.answer == nil: // nobody waits
		case err != nil && g.answers[i].err == nil:
			r.answer <- answer{err: unavailable("the datastore could not write: %v", err)}
		default:
			r.answer <- g.answers[i]
		}
	}
	return err == nil
}

// complain logs when writes begin to be refused, and when they are taken again: a disk may be full for long.
func (e *Engine) complain(err error, disk bool) {
	switch {
	case err != nil && !e.refusing:
		e.refusing = true
		e.options.Log.Error("writes are refused", "err", err)
	case err == nil && disk && e.refusing:
		e.refusing = false
		e.options.Log.Info("writes are taken again")
	}
}

// decide says what becomes of each request, each seeing what those before it did.
func (e *Engine) decide(g *group) {
	e.mu.Lock()
	defer e.mu.Unlock()
	g.answers = make([]answer, len(g.requests))
	for i, r := range g.requests {
		g.answers[i] = e.decideOne(g, r)
	}
}

func (e *Engine) decideOne(g *group, r *request) answer {
	var now version
	if n := e.index.find(r.key); n != nil {
		now = *n.last()
	}
	exists := now.revision > 0 && !now.deleted
	switch {
	case r.kind == create && exists, r.kind == update && (!exists || now.revision != r.revision),
		r.kind == remove && r.revision > 0 && (!exists || now.revision != r.revision):
		return answer{revision: e.head}
	case r.kind == remove && !exists:
		return answer{revision: e.head, done: true}
	}
	memory := e.memory != nil && e.memory.Keeps(r.key)
	if memory && r.kind != remove && !e.memory.Room(len(r.key)+len(r.value)) {
		return answer{revision: e.head, err: status.Error(codes.ResourceExhausted, "etcdserver: mvcc: database space exceeded")}
	}
	if !memory && e.stuck != nil {
		return answer{revision: e.head, err: unavailable("the datastore could not write: %v", e.stuck)}
	}
	e.head++
	record := r.record(e.head, now, exists)
	e.index.add(&record)
	g.note(record, now, exists, memory)
	return answer{revision: e.head, done: true}
}

// record is what a request becomes.
func (r *request) record(revision int64, now version, exists bool) Record {
	record := Record{Revision: revision, Created: revision, Version: 1, Lease: r.lease, Key: r.key, Value: r.value, Deleted: r.kind == remove}
	if exists {
		record.Created, record.Version = now.created, int64(now.count)+1
	}
	if record.Deleted {
		record.Created, record.Version, record.Lease = 0, 0, 0
	}
	if record.Lease > 0 {
		record.Expires = time.Now().Add(seconds(record.Lease)).UnixMilli()
	}
	return record
}

// note remembers where a record goes, and what watches are told of it.
func (g *group) note(r Record, now version, exists, memory bool) {
	if memory {
		g.memory, g.former = append(g.memory, r), append(g.former, now.revision)
	} else {
		g.disk = append(g.disk, r)
	}
	event := &server.Event{Create: !exists, Delete: r.Deleted, KV: r.kv()}
	if exists {
		event.PrevKV = now.kv(r.Key, nil)
	}
	g.events, g.follows = append(g.events, event), append(g.follows, now.revision)
}

// keep writes the records of a group to where they belong, and finds the values that they replace.
func (e *Engine) keep(ctx context.Context, g *group) error {
	if len(g.events) == 0 {
		return nil
	}
	if err := e.recall(ctx, g); err != nil {
		return err
	}
	batch := Batch{Put: g.disk}
	if e.head > e.limit {
		batch.Limit = e.head + block
	}
	if err := e.store(ctx, batch); err != nil {
		return err
	}
	for i, r := range g.memory {
		e.memory.Put(r, g.former[i])
	}
	return nil
}

// store commits, or holds back until the interval is over.
func (e *Engine) store(ctx context.Context, b Batch) error {
	if e.options.Interval == 0 || b.empty() {
		return e.save(ctx, b)
	}
	if b.Limit > 0 { // revisions that no file claims must not be given out
		if err := e.save(ctx, Batch{Limit: b.Limit}); err != nil {
			return err
		}
	}
	if len(e.waiting.Put) == 0 {
		e.since = time.Now()
	}
	e.mu.Lock()
	for _, r := range b.Put {
		e.unsaved[r.Revision] = r.Value
		e.weight += r.Size()
	}
	e.mu.Unlock()
	if e.waiting.Put = append(e.waiting.Put, b.Put...); e.weight > mostWaiting {
		e.since = time.Time{} // it is due
	}
	return nil
}

// save commits now.
func (e *Engine) save(ctx context.Context, b Batch) error {
	if b.empty() {
		return nil
	}
	if err := e.disk.Commit(ctx, b); err != nil {
		return err
	}
	e.limit, e.wrote, e.changed = max(e.limit, b.Limit), time.Now(), true
	return nil
}

// flush commits what an interval held back. When it cannot, what was answered stays in memory, and nothing more is taken.
func (e *Engine) flush(ctx context.Context) error {
	if len(e.waiting.Put) == 0 {
		return nil
	}
	if err := e.save(ctx, e.waiting); err != nil {
		if e.stuck == nil {
			e.options.Log.Error("answered writes are not on disk; it is tried again, and no more are taken", "count", len(e.waiting.Put), "err", err)
		}
		e.stuck = err
		return err
	}
	e.stuck, e.waiting, e.weight = nil, Batch{}, 0
	e.mu.Lock()
	clear(e.unsaved)
	e.mu.Unlock()
	return nil
}

// recall finds the values that were replaced, for the watches that want to know.
func (e *Engine) recall(ctx context.Context, g *group) error {
	own := map[int64][]byte{}
	var wanted []int64
	for i, event := range g.events {
		own[event.KV.ModRevision] = event.KV.Value
		if event.PrevKV == nil {
			continue
		}
		if _, here := own[g.follows[i]]; !here {
			wanted = append(wanted, g.follows[i])
		}
	}
	values, err := e.values(ctx, wanted)
	if err != nil {
		return err
	}
	for i, revision := range wanted {
		own[revision] = values[i]
	}
	for i, event := range g.events {
		if event.PrevKV != nil {
			event.PrevKV.Value = own[g.follows[i]]
		}
	}
	return nil
}

// publish lets readers see a group, and hands it to the watches.
func (e *Engine) publish(g *group) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.committed = e.head; len(g.disk) > 0 {
		e.stored = g.disk[len(g.disk)-1].Revision
	}
	for _, event := range g.events {
		if lease := event.KV.Lease; lease > 0 {
			e.deadlines.add(deadline{time.Now().Add(seconds(lease)), event.KV.Key, event.KV.ModRevision})
		}
	}
	if len(g.events) > 0 {
		e.tell(g.events)
	}
	e.answerRemoved(g)
}

// answerRemoved gives those who removed a key what it was.
func (e *Engine) answerRemoved(g *group) {
	at := 0
	for i := range g.requests {
		if a := &g.answers[i]; a.done && at < len(g.events) && g.events[at].KV.ModRevision == a.revision {
			if g.events[at].Delete {
				a.former = g.events[at].PrevKV
			}
			at++
		}
	}
}
