package secrets

import (
	"context"
	"sync"
	"sync/atomic"

	"k8s.io/apiserver/pkg/storage/value"
)

// transformers is what the API server stores Secrets with. The keys behind it change while it runs.
type transformers struct {
	now atomic.Pointer[generation]
}

func newTransformers(k keys) *transformers {
	t := &transformers{}
	t.now.Store(newGeneration(k))
	return t
}

// TransformFromStorage reads a stored value.
func (t *transformers) TransformFromStorage(ctx context.Context, data []byte, where value.Context) ([]byte, bool, error) {
	return t.now.Load().TransformFromStorage(ctx, data, where)
}

// TransformToStorage makes the value to store. What it gave counts as under way until ctx, which is that of a request, ends.
func (t *transformers) TransformToStorage(ctx context.Context, data []byte, where value.Context) ([]byte, error) {
	for {
		g := t.now.Load()
		if !g.enter() {
			continue // another one has taken its place
		}
		if ctx.Done() == nil { // no request: there is no end to wait for
			defer g.leave()
		} else {
			context.AfterFunc(ctx, g.leave)
		}
		return g.TransformToStorage(ctx, data, where)
	}
}

// set takes other keys from now on. The channel is closed when no request is under way any more that wrote with those before.
func (t *transformers) set(k keys) (drained <-chan struct{}) {
	return t.now.Swap(newGeneration(k)).retire()
}

// generation is the keys between two changes.
type generation struct {
	value.Transformer

	mu       sync.Mutex // guards what follows
	requests int        // that have written with it, and are under way
	retired  bool
	drained  chan struct{}
}

func newGeneration(k keys) *generation {
	return &generation{Transformer: k.transformer(), drained: make(chan struct{})}
}

func (g *generation) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.retired {
		return false
	}
	g.requests++
	return true
}

func (g *generation) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.requests--; g.retired && g.requests == 0 {
		close(g.drained)
	}
}

func (g *generation) retire() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.retired = true; g.requests == 0 {
		close(g.drained)
	}
	return g.drained
}
