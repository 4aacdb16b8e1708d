package storage

import (
	"context"
	"log/slog"
	"time"

	"github.com/skerry-io/skerry/internal/run"
	"github.com/skerry-io/skerry/internal/wire"
)

const (
	// firstPause and lastPause bound the time between two attempts at one order.
	firstPause, lastPause = 2 * time.Second, 10 * time.Minute
	// forever is when nothing is to be done.
	forever = 24 * time.Hour
)

// hand carries out one order after the other, and those that failed again and again.
type hand struct {
	carry  func(context.Context, wire.VolumeOrder) error
	server *server
	log    *slog.Logger
	lists  chan []wire.VolumeOrder // the newest that run has not taken
	tasks  map[string]*task
}

// task is an order that is not carried out yet.
type task struct {
	order wire.VolumeOrder
	due   time.Time
	pause time.Duration
	told  string // the trouble that the log has
}

func newHand(carry func(context.Context, wire.VolumeOrder) error, s *server, log *slog.Logger) *hand {
	return &hand{carry: carry, server: s, log: log, lists: make(chan []wire.VolumeOrder, 1), tasks: map[string]*task{}}
}

// take replaces all orders. One goroutine calls it.
func (h *hand) take(orders []wire.VolumeOrder) {
	select {
	case <-h.lists: // an older list
	default:
	}
	h.lists <- orders
}

func (h *hand) run(ctx context.Context) {
	for {
		timer := time.NewTimer(time.Until(h.next()))
		select {
		case orders := <-h.lists:
			h.adopt(orders)
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		timer.Stop()
		for name, t := range h.tasks {
			if ctx.Err() == nil && !time.Now().Before(t.due) {
				h.attempt(ctx, name, t)
			}
		}
	}
}

// next is when an attempt is due.
func (h *hand) next() time.Time {
	first := time.Now().Add(forever)
	for _, t := range h.tasks {
		if t.due.Before(first) {
			first = t.due
		}
	}
	return first
}

// adopt forgets what is ordered no more. What was ordered before goes on where it was, unless it changed.
func (h *hand) adopt(orders []wire.VolumeOrder) {
	before := h.tasks
	h.tasks = map[string]*task{}
	for _, o := range orders {
		t := before[o.Folder]
		if t == nil || t.order != o {
			t = &task{order: o, pause: firstPause}
		}
		h.tasks[o.Folder] = t
	}
	for name := range before {
		if h.tasks[name] == nil {
			h.server.rows.Drop(name)
		}
	}
}

func (h *hand) attempt(ctx context.Context, name string, t *task) {
	err := h.carry(ctx, t.order)
	if err == nil {
		delete(h.tasks, name)
		h.server.rows.Drop(name)
		return
	}
	if ctx.Err() != nil {
		return
	}
	h.server.rows.Set(run.Detail{Name: name, State: "trying", Bad: !unheard(err), Err: err})
	t.due = time.Now().Add(t.pause)
	t.pause = min(2*t.pause, lastPause)
	if text := err.Error(); text != t.told {
		t.told = text
		h.log.Warn("a volume could not be made or removed; it is tried again", "volume", name, "err", err)
	}
	if unheard(err) {
		return
	}
	if _, err := h.server.report(ctx, wire.VolumeReport{VolumeOrder: t.order, Trouble: err.Error()}); err != nil {
		h.log.Debug("what keeps a volume from being made or removed could not be told", "volume", name, "err", err)
	}
}
