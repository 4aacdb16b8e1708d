package status

import (
	"context"
	"strings"
	"sync"

	"github.com/skerry-io/skerry/internal/run"
	"github.com/skerry-io/skerry/internal/traffic"
)

// Group is what a Board reads the states from.
type Group interface {
	States() []run.State
	Details() map[string][]run.Detail
	Watch() ([]run.State, <-chan struct{})
}

// Board is where a process can be asked how it is, from before its services exist until after their end.
type Board struct {
	mu      sync.Mutex // guards what follows
	process Process
	before  *Run
	group   Group // nil until there are services
	traffic func() []traffic.Link
	store   func() *Datastore // nil where there is none
}

// NewBoard has no services yet.
func NewBoard(p Process) *Board { return &Board{process: p} }

// Kubeconfig says which file reads the process's own Node.
func (b *Board) Kubeconfig(path string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.process.Kubeconfig = path
}

// Follow makes g's services the ones that are told of.
func (b *Board) Follow(g Group) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.group = g
}

// Count says what went over the connections to other machines.
func (b *Board) Count(links func() []traffic.Link) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.traffic = links
}

// remember has the run before told of.
func (b *Board) remember(before *Run) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.before = before
}

// Report is how the process is now.
func (b *Board) Report() Report {
	b.mu.Lock()
	r := Report{Process: b.process, Before: b.before, Services: []Service{}, Components: []Component{}}
	group, links := b.group, b.traffic
	b.mu.Unlock()
	if links != nil {
		r.Traffic = links()
	}
	if group == nil {
		r.Condition = Starting
		return r
	}
	details := group.Details()
	for _, s := range group.States() {
		r.Services = append(r.Services, Service{State: s, Error: strings.TrimPrefix(textOf(s.Err), "service "+s.Name+": ")})
		for _, d := range details[s.Name] {
			r.Components = append(r.Components, Component{Service: s.Name, Name: d.Name, State: d.State, OK: !d.Bad, Since: d.Since, Error: textOf(d.Err)})
		}
	}
	r.Condition = conditionOf(r.Services, r.Components)
	return r
}

// Announce gives tell each new Line while the group lives, until ctx ends. It sleeps while no service changes.
func (b *Board) Announce(ctx context.Context, g Group, tell func(line string)) {
	last := ""
	for {
		_, stale := g.Watch()
		if line := b.Report().Line(); line != last {
			tell(line)
			last = line
		}
		select {
		case <-stale:
		case <-ctx.Done():
			return
		}
	}
}
