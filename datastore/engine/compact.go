package engine

import (
	"context"

	"github.com/k3s-io/kine/pkg/server"
)

const (
	// step is how many records one step of a compaction takes; writers go between steps.
	step = 500
	// usualHistory is how many changes are kept at most, and the past of memory in bytes.
	usualHistory = 200_000
	mostPast     = 8 << 20
)

// Compact gives up the past before a revision: reads of it are ErrCompacted from now on. What it takes is freed later.
func (e *Engine) Compact(_ context.Context, revision int64) (int64, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case revision > e.committed:
		return e.committed, server.ErrFutureRev
	case revision <= e.compacted:
		return e.committed, server.ErrCompacted
	}
	e.compacted = revision
	e.wakeUp()
	return e.committed, nil
}

// wakeUp has the writer look at what there is to do.
func (e *Engine) wakeUp() {
	select {
	case e.wake <- struct{}{}:
	default: // it will
	}
}

// bound gives up the older half of the past when there is too much of it, because nobody compacts.
func (e *Engine) bound() {
	past := e.memory != nil && e.memory.Past() > mostPast
	e.mu.Lock()
	defer e.mu.Unlock()
	if n := len(e.index.history); n > e.options.History || past && n > 0 {
		if middle := e.index.history[n/2].revision; middle > e.compacted && middle <= e.committed {
			e.compacted = middle
		}
	}
}

// compact does one step, and says whether there is more to do now. What a reader still sees has to wait for it.
func (e *Engine) compact(ctx context.Context) (more bool, err error) {
	gone, compacted, more := e.prune()
	drop := e.leftover
	for _, p := range gone {
		if e.memory != nil && e.memory.Keeps(p.key) {
			e.memory.Drop(p.revision)
		} else {
			drop = append(drop, p.revision)
		}
	}
	if e.leftover = drop; len(drop) == 0 {
		return more, nil
	}
	if err := e.flush(ctx); err != nil { // what is dropped may not be there yet
		return false, err
	}
	if err := e.save(ctx, Batch{Drop: drop, Compacted: compacted}); err != nil {
		return false, err
	}
	e.leftover = nil
	e.options.Failpoint("engine/compacted")
	return more, nil
}

// prune takes what nobody can see out of the index.
func (e *Engine) prune() (gone []pruned, compacted int64, more bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	target := e.compacted
	for revision := range e.pins {
		target = min(target, revision)
	}
	if target <= e.pruned {
		return nil, e.compacted, false
	}
	gone, done := e.index.prune(target, step)
	if done {
		e.pruned = target
	}
	return gone, e.compacted, !done
}
