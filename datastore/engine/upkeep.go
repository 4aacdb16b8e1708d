package engine

import (
	"container/heap"
	"context"
	"time"
)

const (
	// idle is how long nothing must have been written before the disk tidies up.
	idle = time.Minute
	// tidyPause is between two pieces of upkeep.
	tidyPause = 50 * time.Millisecond
	// mostEnding is how many keys end in one commit.
	mostEnding = 200
	// longestLease keeps a silly number from overflowing a duration.
	longestLease = 100 * 365 * 24 * time.Hour
)

func seconds(lease int64) time.Duration {
	if lease > int64(longestLease/time.Second) {
		return longestLease
	}
	return time.Duration(lease) * time.Second
}

// deadline is when a key ends, unless it is written again before.
type deadline struct {
	at       time.Time
	key      string
	revision int64
}

// deadlines is a heap, the nearest first.
type deadlines []deadline

func (d deadlines) Len() int           { return len(d) }
func (d deadlines) Less(i, j int) bool { return d[i].at.Before(d[j].at) }
func (d deadlines) Swap(i, j int)      { d[i], d[j] = d[j], d[i] }

// Push and Pop are for package heap.
func (d *deadlines) Push(x any) { *d = append(*d, x.(deadline)) }

// Pop takes the last one away.
func (d *deadlines) Pop() any {
	last := (*d)[len(*d)-1]
	(*d)[len(*d)-1] = deadline{}
	*d = (*d)[:len(*d)-1]
	return last
}

func (d *deadlines) add(x deadline) { heap.Push(d, x) }

func (d deadlines) byRevision() map[int64]time.Time {
	all := make(map[int64]time.Time, len(d))
	for _, x := range d {
		all[x.revision] = x.at
	}
	return all
}

// expect sets the end of a record that was loaded. A clock that was set back must not make it live longer than its lease.
func (e *Engine) expect(r Record) {
	if r.Lease > 0 && !r.Deleted {
		left := min(max(time.Until(time.UnixMilli(r.Expires)), 0), seconds(r.Lease))
		e.deadlines.add(deadline{time.Now().Add(left), r.Key, r.Revision})
	}
}

// upkeep does what is due besides requests, and sets the timer to when it has to be looked at again.
func (e *Engine) upkeep(ctx context.Context, timer *time.Timer) {
	now := time.Now()
	wait := time.Duration(-1)
	soon := func(d time.Duration) {
		if wait < 0 || d < wait {
			wait = d
		}
	}
	e.writeBack(ctx, now, soon)
	e.expire(ctx, now)
	e.makeRoom(ctx)
	e.bound()
	switch more, err := e.compact(ctx); {
	case err != nil:
		e.options.Log.Error("the past could not be freed; it is tried again", "err", err)
		soon(idle)
	case more:
		e.wakeUp()
	}
	if err := e.disk.Settle(ctx); err != nil {
		e.options.Log.Error("the write-ahead log could not be brought into the database", "err", err)
	}
	e.tidy(ctx, now, soon)
	if len(e.deadlines) > 0 {
		soon(max(time.Until(e.deadlines[0].at), 0))
	}
	timer.Stop()
	if wait >= 0 {
		timer.Reset(wait)
	}
}

// writeBack commits what an interval held back for long enough.
func (e *Engine) writeBack(ctx context.Context, now time.Time, soon func(time.Duration)) {
	if len(e.waiting.Put) == 0 {
		return
	}
	if due := e.since.Add(e.options.Interval); now.Before(due) {
		soon(due.Sub(now))
		return
	}
	if e.flush(ctx) != nil {
		e.since = now
		soon(e.options.Interval)
	}
}

// expire removes the keys whose lease is over.
func (e *Engine) expire(ctx context.Context, now time.Time) {
	g := &group{}
	for len(e.deadlines) > 0 && !e.deadlines[0].at.After(now) && len(g.requests) < mostEnding {
		over := heap.Pop(&e.deadlines).(deadline)
		if n := e.index.find(over.key); n != nil && n.last().revision == over.revision {
			g.requests = append(g.requests, &request{kind: remove, key: over.key, revision: over.revision})
		}
	}
	if len(g.requests) > 0 && !e.commit(ctx, g) { // it stays until it can go
		for _, r := range g.requests {
			e.deadlines.add(deadline{now.Add(time.Second), r.key, r.revision})
		}
	}
}

// makeRoom removes what memory has no room for.
func (e *Engine) makeRoom(ctx context.Context) {
	if e.memory == nil {
		return
	}
	g := &group{}
	for len(g.requests) < mostEnding {
		key, revision, over := e.memory.Excess()
		if !over {
			break
		}
		g.requests = append(g.requests, &request{kind: remove, key: key, revision: revision})
	}
	if len(g.requests) > 0 {
		e.commit(ctx, g)
		e.wakeUp()
	}
}

// tidy has the disk do its upkeep, a piece at a time, once nothing was written for a while.
func (e *Engine) tidy(ctx context.Context, now time.Time, soon func(time.Duration)) {
	if !e.changed {
		return
	}
	if due := e.wrote.Add(idle); now.Before(due) {
		soon(due.Sub(now))
		return
	}
	more, err := e.disk.Tidy(ctx)
	if err != nil {
		e.options.Log.Warn("the database could not be tidied up", "err", err)
	}
	if e.changed = more && err == nil; e.changed {
		soon(tidyPause)
	}
}
