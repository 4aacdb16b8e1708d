package servicelb

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/skerry-io/skerry/internal/config"
	"github.com/skerry-io/skerry/internal/run"
)

const (
	// soon is when a write that was refused is tried again.
	soon = 2 * time.Second
	// again is how often a Service that gets nothing is told why: Events are kept for an hour.
	again = 40 * time.Minute
)

// Config is what the addresses depend on besides the cluster.
type Config struct {
	Pool      []config.AddressRange // empty: Services get the addresses of nodes
	Reserved  []Reserved            // ports that nodes need themselves
	NodePorts config.PortRange
	Nodes     cache.SharedIndexInformer // of all Nodes; somebody else runs it
	Rows      *run.Rows                 // is told of each Service
	Log       *slog.Logger
}

// Run gives Services their addresses until ctx ends.
func Run(ctx context.Context, client kubernetes.Interface, c Config, ready func()) error {
	b := &balancer{config: c, client: client, told: map[string]string{}, dirty: make(chan struct{}, 1)}
	w := watches{client: client, nodes: c.Nodes, changed: b.touch, left: b.leave}
	defer w.stop()
	if err := w.services(ctx); err != nil {
		return err
	}
	if err := b.strays(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	ready()
	b.touch()
	timer := time.NewTimer(again)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-b.dirty:
		case <-timer.C:
			clear(b.told)
		}
		seen, err := w.look(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		next := b.settle(ctx, plan(c, seen))
		if b.gone.Swap(false) {
			if err := b.strays(ctx); err != nil {
				b.gone.Store(true)
				next = soon
			}
		}
		timer.Reset(next)
	}
}

// balancer carries plans out.
type balancer struct {
	config Config
	client kubernetes.Interface
	dirty  chan struct{}
	gone   atomic.Bool       // a Service has left, and may still bear the mark
	told   map[string]string // by Service, what it was told last
}

// leave notes that a Service was deleted, or has another type now.
func (b *balancer) leave() {
	b.gone.Store(true)
	b.touch()
}

// touch has everything looked at again.
func (b *balancer) touch() {
	select {
	case b.dirty <- struct{}{}:
	default: // it will be
	}
}

// settle makes every Service as it should be, and says when to look again at the latest.
func (b *balancer) settle(ctx context.Context, verdicts []verdict) time.Duration {
	next, known := again, map[string]string{}
	served := map[string]bool{}
	for _, v := range verdicts {
		served[key(v.service)] = v.kind != ""
		err := b.write(ctx, v)
		if v.kind != "" {
			b.config.Rows.Set(v.row(err))
		}
		if err != nil && ctx.Err() == nil {
			b.config.Log.Debug("a Service did not get its addresses; it is tried again", "service", key(v.service), "err", err)
			next = soon
			continue
		}
		if v.refusal == nil {
			continue
		}
		if known[key(v.service)] = v.refusal.message; b.told[key(v.service)] == v.refusal.message {
			continue
		}
		if err := b.tell(ctx, v.service, *v.refusal); err != nil && ctx.Err() == nil {
			b.config.Log.Debug("a Service was not told why it gets no addresses; it is tried again", "service", key(v.service), "err", err)
			delete(known, key(v.service))
			next = soon
			continue
		}
		b.config.Log.Warn("a Service gets no addresses", "service", key(v.service), "why", v.refusal.message)
	}
	b.told = known
	b.config.Rows.Keep(func(name string) bool { return served[name] })
	return next
}

// row is how the status tells of a Service. That one is refused is its owner's trouble, not the server's.
func (v verdict) row(err error) run.Detail {
	d := run.Detail{Name: key(v.service), State: "served"}
	switch {
	case err != nil:
		d.State, d.Bad, d.Err = "trying", !apierrors.IsConflict(err), err // a conflict is over with the next try
	case v.refusal != nil:
		d.State, d.Err = "refused", errors.New(v.refusal.message)
	case len(v.addresses) == 0:
		d.State, d.Err = "waiting", errors.New("for a node that can serve it")
	}
	return d
}

// key names a Service for people: namespace/name.
func key(s *core.Service) string { return s.Namespace + "/" + s.Name }
