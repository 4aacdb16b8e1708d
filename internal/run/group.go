package run

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/skerry-io/skerry/internal/fault"
)

// Group runs services: all in parallel, each as soon as what it needs is ready, and stops them in reverse.
type Group struct {
	log   *slog.Logger
	nodes []*node // in start order: every need stands before those that need it
	by    map[string]*node

	mu      sync.Mutex    // guards what follows and the state inside every node
	changed chan struct{} // closed and replaced at each change
}

// node is a service with its life in this group.
type node struct {
	Service
	ready  chan struct{} // closed by open at the first ready
	open   func()
	done   chan struct{} // closed when its goroutine has ended
	gone   chan struct{} // closed when its stop is over, in time or not
	cancel context.CancelFunc
	state  State
}

// NewGroup checks the table: names are unique, needs exist, no cycle.
func NewGroup(log *slog.Logger, services ...Service) (*Group, error) {
	g := &Group{log: log, by: map[string]*node{}, changed: make(chan struct{})}
	for _, s := range services {
		if _, twice := g.by[s.Name]; twice {
			return nil, fmt.Errorf("service %q stands twice in the table", s.Name)
		}
		n := &node{Service: s, ready: make(chan struct{}), done: make(chan struct{}), gone: make(chan struct{})}
		n.state = State{Name: s.Name, Phase: Waiting, Since: time.Now()}
		n.open = sync.OnceFunc(func() { close(n.ready) })
		g.by[s.Name] = n
	}
	sorted, err := order(services)
	if err != nil {
		return nil, err
	}
	for _, name := range sorted {
		g.nodes = append(g.nodes, g.by[name])
	}
	return g, nil
}

// order sorts names so that needs come first, keeping the table's order otherwise.
func order(services []Service) ([]string, error) {
	by := map[string]Service{}
	for _, s := range services {
		by[s.Name] = s
	}
	var sorted []string
	var visit func(name string, path []string) error
	visit = func(name string, path []string) error {
		if slices.Contains(sorted, name) {
			return nil
		}
		if slices.Contains(path, name) {
			return fmt.Errorf("services need each other in a circle: %v", append(path, name))
		}
		for _, need := range by[name].Needs {
			if _, known := by[need]; !known {
				return fmt.Errorf("service %q needs %q, which is not in the table", name, need)
			}
			if err := visit(need, append(path, name)); err != nil {
				return err
			}
		}
		sorted = append(sorted, name)
		return nil
	}
	for _, s := range services {
		if err := visit(s.Name, nil); err != nil {
			return nil, err
		}
	}
	return sorted, nil
}

// Run starts everything, waits until ctx ends or a service ends for good, and stops everything in reverse order.
// Its error is that of the service that ended first, and names those that did not stop in time; nil after a clean stop
// that ctx asked for. A group runs once.
func (g *Group) Run(ctx context.Context) error {
	// Service contexts do not descend from ctx's cancellation: the signal itself would then stop all at once.
	base := context.WithoutCancel(ctx)
	ended := make(chan error, len(g.nodes))
	for _, n := range g.nodes {
		var nctx context.Context
		nctx, n.cancel = context.WithCancel(base)
		go func() {
			defer close(n.done)
			if err := g.live(nctx, n); err != nil {
				ended <- err
			}
		}()
	}
	var first error
	select {
	case <-ctx.Done():
	case first = <-ended:
		if Failure(first) == nil {
			g.log.Info("the node stops, as it should", "why", first)
		} else {
			g.log.Error("a service ended, stopping the node", "err", first)
		}
	}
	return errors.Join(first, g.stop())
}

// live is one service from waiting to its end, restarts included. It owns the node's phase but for Stopping.
func (g *Group) live(ctx context.Context, n *node) error {
	if !g.waitForNeeds(ctx, n) {
		g.set(n, Stopped, nil)
		return nil
	}
	for attempt := 0; ; attempt++ {
		g.set(n, Starting, nil)
		began := time.Now()
		err := g.once(ctx, n)
		if ctx.Err() != nil {
			g.set(n, Stopped, ignoreCanceled(err)) // kept, not told: upstream's programs end with an error also when asked to
			return nil
		}
		if err == nil {
			err = errors.New("ended on its own")
		}
		err = fmt.Errorf("service %s: %w", n.Name, err)
		if !n.Again.enabled() {
			g.set(n, Failed, err)
			return err
		}
		if time.Since(began) > n.Again.Max {
			attempt = 0
		}
		g.set(n, Paused, err)
		wait := n.Again.pause(attempt)
		g.log.Warn("a service ended and will start again", "service", n.Name, "in", wait, "err", err)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			g.set(n, Stopped, err)
			return nil
		}
	}
}

func (g *Group) waitForNeeds(ctx context.Context, n *node) bool {
	for _, need := range n.Needs {
		select {
		case <-g.by[need].ready:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// once calls Run and turns a panic into its error.
func (g *Group) once(ctx context.Context, n *node) (err error) {
	defer fault.Recover(&err)
	return n.Run(ctx, func() { g.markReady(n) })
}

// stop ends the services in reverse: each is asked once everything that needs it is gone, so that nothing loses what it
// needs while it still works; those that do not depend on each other stop side by side.
func (g *Group) stop() error {
	left := make(chan error, len(g.nodes))
	for _, n := range g.nodes {
		go func() {
			defer close(n.gone)
			for _, user := range g.users(n.Name) {
				<-user.gone
			}
			left <- g.stopOne(n)
		}()
	}
	var errs []error
	for range g.nodes {
		errs = append(errs, <-left)
	}
	return errors.Join(errs...)
}

// users are the services that need name.
func (g *Group) users(name string) []*node {
	var users []*node
	for _, n := range g.nodes {
		if slices.Contains(n.Needs, name) {
			users = append(users, n)
		}
	}
	return users
}

// stopOne cancels a service and waits for it, but not longer than its grace: one that will not stop is named, and the
// stop goes on.
func (g *Group) stopOne(n *node) error {
	grace := n.Grace
	if grace == 0 {
		grace = DefaultGrace
	}
	g.mark(n, Stopping)
	began := time.Now()
	n.cancel()
	late := time.NewTimer(grace)
	defer late.Stop()
	select {
	case <-n.done:
		g.log.Debug("stopped", "service", n.Name, "took", time.Since(began).Round(time.Millisecond))
		return nil
	case <-late.C:
		return fmt.Errorf("service %s did not stop within %s", n.Name, grace)
	}
}

// States is a snapshot in start order.
func (g *Group) States() []State {
	g.mu.Lock()
	defer g.mu.Unlock()
	states := make([]State, 0, len(g.nodes))
	for _, n := range g.nodes {
		s := n.state
		if s.Phase == Waiting {
			s.WaitsFor = g.unmet(n)
		}
		states = append(states, s)
	}
	return states
}

// Details is what the services tell of what they look after, by the name of the service.
func (g *Group) Details() map[string][]Detail {
	details := map[string][]Detail{}
	for _, n := range g.nodes {
		if n.Service.Details == nil {
			continue
		}
		if told := n.Service.Details(); len(told) > 0 {
			details[n.Name] = told
		}
	}
	return details
}

// Watch gives a snapshot and a channel that closes when a newer one exists.
func (g *Group) Watch() ([]State, <-chan struct{}) {
	g.mu.Lock()
	stale := g.changed
	g.mu.Unlock()
	return g.States(), stale
}

func (g *Group) unmet(n *node) []string {
	var unmet []string
	for _, need := range n.Needs {
		select {
		case <-g.by[need].ready:
		default:
			unmet = append(unmet, need)
		}
	}
	return unmet
}

// set enters a phase and keeps the last error through restarts.
func (g *Group) set(n *node, phase Phase, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err != nil {
		n.state.Err = err
	}
	if phase == Paused {
		n.state.Restarts++
	}
	g.enter(n, phase)
}

// mark enters a phase unless the service has already ended.
func (g *Group) mark(n *node, phase Phase) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if n.state.Phase != Stopped && n.state.Phase != Failed {
		g.enter(n, phase)
	}
}

// markReady is what a service calls; one that is being stopped stays "stopping".
func (g *Group) markReady(n *node) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if n.state.Phase != Starting {
		return
	}
	g.log.Debug("ready", "service", n.Name, "took", time.Since(n.state.Since).Round(time.Millisecond))
	g.enter(n, Ready)
	n.open()
}

// enter changes the phase and wakes those who watch. The caller holds mu.
func (g *Group) enter(n *node, phase Phase) {
	n.state.Phase, n.state.Since = phase, time.Now()
	close(g.changed)
	g.changed = make(chan struct{})
}

func ignoreCanceled(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
