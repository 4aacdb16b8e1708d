package run

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// Rows are Details that a service keeps up to date, each under its own name. The zero value has none; its Details are for
// Service.Details. A nil one hears nothing.
type Rows struct {
	mu  sync.Mutex // guards all
	all map[string]Detail
}

// Set says how something is now. Since stays while the state does, whatever is to be said about it.
func (r *Rows) Set(d Detail) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all == nil {
		r.all = map[string]Detail{}
	}
	before, there := r.all[d.Name]
	switch {
	case there && before.State == d.State && before.Bad == d.Bad:
		d.Since = before.Since
	case d.Since.IsZero():
		d.Since = time.Now()
	}
	r.all[d.Name] = d
}

// Drop forgets a row: always, or only in one of these states.
func (r *Rows) Drop(name string, states ...string) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(states) == 0 || slices.Contains(states, r.all[name].State) {
		delete(r.all, name)
	}
}

// Keep drops all whose name is not one to keep.
func (r *Rows) Keep(is func(name string) bool) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.DeleteFunc(r.all, func(name string, _ Detail) bool { return !is(name) })
}

// Details are the rows by their names.
func (r *Rows) Details() []Detail {
	r.mu.Lock()
	defer r.mu.Unlock()
	details := make([]Detail, 0, len(r.all))
	for _, name := range slices.Sorted(maps.Keys(r.all)) {
		details = append(details, r.all[name])
	}
	return details
}
