package engine

import (
	"context"

	"github.com/k3s-io/kine/pkg/server"
)

// behind is how many commits a subscription may be behind before it is ended. Its owner comes again.
const behind = 1024

// subscription is someone who is told of all changes.
type subscription struct {
	live chan []*server.Event
}

// Watch tells the changes of a range from a revision on, 0 meaning from now; an empty range means everything. The
// channel closes when ctx ends, or when the one who reads it is too slow.
func (e *Engine) Watch(ctx context.Context, key, end string, revision int64) server.WatchResult {
	s := &subscription{live: make(chan []*server.Event, behind)}
	e.mu.Lock()
	now := e.committed
	e.tellers[s] = struct{}{}
	e.mu.Unlock()
	failed := make(chan error, 1)
	var past []*server.Event
	if revision > 0 && revision <= now {
		var compacted int64
		var err error
		if past, compacted, err = e.After(ctx, key, end, revision-1); err != nil {
			e.unsubscribe(s)
			failed <- err
			return server.WatchResult{CurrentRevision: now, CompactRevision: compacted, Events: closed(), Errorc: failed}
		}
	}
	told := make(chan []*server.Event)
	go func() {
		defer close(told)
		defer e.unsubscribe(s)
		s.follow(ctx, key, end, max(revision, now+1), past, told)
	}()
	return server.WatchResult{Events: told, Errorc: failed}
}

func closed() <-chan []*server.Event {
	c := make(chan []*server.Event)
	close(c)
	return c
}

// follow hands on the past, and then what happens from a revision on.
func (s *subscription) follow(ctx context.Context, key, end string, from int64, past []*server.Event, told chan<- []*server.Event) {
	if len(past) > 0 {
		from = max(from, past[len(past)-1].KV.ModRevision+1)
	}
	for next := past; ; {
		if len(next) > 0 {
			select {
			case told <- next:
			case <-ctx.Done():
				return
			}
		}
		select {
		case events, open := <-s.live:
			if !open {
				return
			}
			next = chosen(events, key, end, from)
		case <-ctx.Done():
			return
		}
	}
}

// chosen are the events of a range from a revision on.
func chosen(events []*server.Event, key, end string, from int64) []*server.Event {
	if key == "" && end == "" && (len(events) == 0 || events[0].KV.ModRevision >= from) {
		return events
	}
	var mine []*server.Event
	for _, event := range events {
		if event.KV.ModRevision >= from && within(event.KV.Key, key, end) {
			mine = append(mine, event)
		}
	}
	return mine
}

// tell hands events to all; it waits for nobody. The caller holds the lock.
func (e *Engine) tell(events []*server.Event) {
	for s := range e.tellers {
		select {
		case s.live <- events:
		default:
			e.quit(s)
		}
	}
}

// quit ends a subscription; the caller holds the lock.
func (e *Engine) quit(s *subscription) {
	delete(e.tellers, s)
	close(s.live)
}

func (e *Engine) unsubscribe(s *subscription) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, there := e.tellers[s]; there {
		e.quit(s)
	}
}
