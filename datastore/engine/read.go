package engine

import (
	"context"

	"github.com/k3s-io/kine/pkg/server"
)

// chunk is how many values are read before it is asked whether the client is still there.
const chunk = 512

// see fixes the revision that a reader sees, 0 being the current one, until the returned function is called: nothing
// that is visible at it goes away meanwhile. It gives the current revision too.
func (e *Engine) see(revision int64) (at, now int64, release func(), err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now = e.committed
	switch {
	case revision > now:
		return 0, now, nil, server.ErrFutureRev
	case revision > 0 && revision < e.compacted:
		return 0, now, nil, server.ErrCompacted
	case revision <= 0:
		revision = now
	}
	e.pins[revision]++
	return revision, now, func() { e.release(revision) }, nil
}

func (e *Engine) release(revision int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.pins[revision]--; e.pins[revision] > 0 {
		return
	}
	delete(e.pins, revision)
	if len(e.pins) == 0 && e.compacted > e.pruned {
		e.wakeUp()
	}
}

// Get gives a key as it was at a revision, 0 meaning now, nil when it did not exist; and the current revision.
func (e *Engine) Get(ctx context.Context, key string, revision int64, keysOnly bool) (int64, *server.KeyValue, error) {
	now, kvs, err := e.List(ctx, key, "", 1, revision, keysOnly)
	if err != nil || len(kvs) == 0 {
		return now, nil, err
	}
	return now, kvs[0], nil
}

// List gives the keys of a range in order, at most limit of them unless it is 0, as they were at a revision; and the
// current revision.
func (e *Engine) List(ctx context.Context, key, end string, limit, revision int64, keysOnly bool) (int64, []*server.KeyValue, error) {
	at, now, release, err := e.see(revision)
	if err != nil {
		return now, nil, err
	}
	defer release()
	kvs := e.look(key, end, limit, at)
	if keysOnly || len(kvs) == 0 {
		return now, kvs, nil
	}
	wanted := make([]int64, len(kvs))
	for i, kv := range kvs {
		wanted[i] = kv.ModRevision
	}
	values, err := e.values(ctx, wanted)
	if err != nil {
		return now, nil, err
	}
	for i := range kvs {
		kvs[i].Value = values[i]
	}
	return now, kvs, nil
}

// look finds the keys of a range without their values.
func (e *Engine) look(key, end string, limit, at int64) []*server.KeyValue {
	kvs := []*server.KeyValue{}
	e.visit(key, end, at, func(n *entry, v *version) bool {
		kvs = append(kvs, v.kv(n.key, nil))
		return limit <= 0 || int64(len(kvs)) < limit
	})
	return kvs
}

// visit calls for each key of a range that existed at a revision.
func (e *Engine) visit(key, end string, at int64, each func(*entry, *version) bool) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	e.index.ascend(key, end, func(n *entry) bool {
		i := n.at(at)
		if i < 0 || n.versions[i].deleted {
			return true
		}
		return each(n, &n.versions[i])
	})
}

// Count gives how many keys of a range existed at a revision, and the current revision.
func (e *Engine) Count(_ context.Context, key, end string, revision int64) (int64, int64, error) {
	at, now, release, err := e.see(revision)
	if err != nil {
		return now, 0, err
	}
	defer release()
	var count int64
	e.visit(key, end, at, func(*entry, *version) bool {
		count++
		return true
	})
	return now, count, nil
}

// values finds the values of revisions that the caller keeps from going away, wherever they are.
func (e *Engine) values(ctx context.Context, revisions []int64) ([][]byte, error) {
	found := make([][]byte, len(revisions))
	var wanted []int64
	var places []int
	e.mu.RLock()
	for i, revision := range revisions {
		value, here := e.unsaved[revision]
		if !here && e.memory != nil {
			value, here = e.memory.Value(revision)
		}
		if found[i] = value; !here {
			wanted, places = append(wanted, revision), append(places, i)
		}
	}
	e.mu.RUnlock()
	for len(wanted) > 0 {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		n := min(chunk, len(wanted))
		values, err := e.disk.Values(ctx, wanted[:n])
		if err != nil {
			e.options.Log.Error("records could not be read", "err", err)
			return nil, unavailable("the datastore could not read: %v", err)
		}
		for i, value := range values {
			found[places[i]] = value
		}
		wanted, places = wanted[n:], places[n:]
	}
	return found, nil
}

// After gives the changes of a range that are newer than a revision, in order; an empty range means everything. When the
// past is not whole it is ErrCompacted, with the compacted revision.
func (e *Engine) After(ctx context.Context, key, end string, revision int64) ([]*server.Event, int64, error) {
	e.mu.RLock()
	now, compacted := e.committed, e.compacted
	e.mu.RUnlock()
	if revision >= now {
		return nil, 0, nil
	}
	if revision < compacted {
		return nil, compacted, server.ErrCompacted
	}
	_, until, release, err := e.see(max(revision, 1))
	if err != nil {
		return nil, e.Compacted(), err
	}
	defer release()
	events, wanted := e.past(key, end, revision, until)
	values, err := e.values(ctx, wanted)
	if err != nil {
		return nil, 0, err
	}
	fill(events, wanted, values)
	return events, 0, nil
}

// past tells what happened, without values, and which revisions' values are missing.
func (e *Engine) past(key, end string, revision, until int64) (events []*server.Event, wanted []int64) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	for _, c := range e.index.after(key, end, revision, until) {
		n := c.entry
		at := n.at(c.revision)
		v := &n.versions[at]
		event := &server.Event{Delete: v.deleted, Create: !v.deleted && v.created == v.revision, KV: v.kv(n.key, nil)}
		if !v.deleted {
			wanted = append(wanted, v.revision)
		}
		if !event.Create && at > 0 && !n.versions[at-1].deleted {
			event.PrevKV = n.versions[at-1].kv(n.key, nil)
			wanted = append(wanted, n.versions[at-1].revision)
		}
		events = append(events, event)
	}
	return events, wanted
}

func fill(events []*server.Event, wanted []int64, values [][]byte) {
	at := make(map[int64][]byte, len(wanted))
	for i, revision := range wanted {
		at[revision] = values[i]
	}
	for _, event := range events {
		if !event.Delete {
			event.KV.Value = at[event.KV.ModRevision]
		}
		if event.PrevKV != nil {
			event.PrevKV.Value = at[event.PrevKV.ModRevision]
		}
	}
}
