package helm

import (
	"context"
	"errors"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// errOvertaken ends waits for something that is no longer wanted.
var errOvertaken = errors.New("the object was changed meanwhile")

// desk holds what is being worked on.
type desk struct {
	mu     sync.Mutex // mu guards all below
	works  map[types.NamespacedName]context.CancelCauseFunc
	fails  map[types.NamespacedName]int                  // fetches and the like that failed in a row
	claims map[types.NamespacedName]types.NamespacedName // releases that are worked on, and for which object
}

func newDesk() *desk {
	return &desk{works: map[types.NamespacedName]context.CancelCauseFunc{}, fails: map[types.NamespacedName]int{},
		claims: map[types.NamespacedName]types.NamespacedName{}}
}

// begin gives a context that ends when the object changes.
func (d *desk) begin(ctx context.Context, key types.NamespacedName) (patience context.Context, end func()) {
	patience, cancel := context.WithCancelCause(ctx)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.works[key] = cancel
	return patience, func() {
		cancel(nil)
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.works, key)
	}
}

func (d *desk) interrupt(key types.NamespacedName) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if cancel := d.works[key]; cancel != nil {
		cancel(errOvertaken)
	}
}

// claim takes a release for an object, unless another one has it in its hands.
func (d *desk) claim(release, by types.NamespacedName) (other types.NamespacedName, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if other, taken := d.claims[release]; taken {
		return other, false
	}
	d.claims[release] = by
	return by, true
}

func (d *desk) release(release types.NamespacedName) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.claims, release)
}

// failed gives the pause after one more failure, which doubles up to longest.
func (d *desk) failed(key types.NamespacedName, longest time.Duration) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	wait := min(firstPause<<min(d.fails[key], 16), longest)
	d.fails[key]++
	return wait
}

func (d *desk) forget(key types.NamespacedName) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.fails, key)
}
