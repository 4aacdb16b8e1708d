package nodewatch

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

func node(name string, ready bool) *core.Node {
	n := &core.Node{ObjectMeta: meta.ObjectMeta{Name: name}}
	if ready {
		n.Spec.PodCIDRs = []string{"10.42.0.0/24"}
	}
	return n
}

func hasRange(n *core.Node) bool { return len(n.Spec.PodCIDRs) > 0 }

// api is a client whose lists give what is in nodes, and whose watches are those in watches, one after the other.
type api struct {
	*fake.Clientset

	mu      sync.Mutex // guards what follows
	nodes   []core.Node
	listErr error
	watches []watch.Interface
}

func newAPI(nodes ...*core.Node) *api {
	a := &api{Clientset: fake.NewClientset()}
	for _, n := range nodes {
		a.nodes = append(a.nodes, *n)
	}
	a.PrependReactor("list", "nodes", func(clienttesting.Action) (bool, runtime.Object, error) {
		a.mu.Lock()
		defer a.mu.Unlock()
		return true, &core.NodeList{Items: slices.Clone(a.nodes)}, a.listErr
	})
	a.PrependWatchReactor("nodes", func(clienttesting.Action) (bool, watch.Interface, error) {
		a.mu.Lock()
		defer a.mu.Unlock()
		if len(a.watches) == 0 {
			return true, nil, errors.New("no watch today")
		}
		next := a.watches[0]
		a.watches = a.watches[1:]
		return true, next, nil
	})
	return a
}

// later changes the API when it was asked once.
func (a *api) later(change func()) {
	time.AfterFunc(retry/2, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		change()
	})
}

func TestUntilFindsTheNode(t *testing.T) {
	gone := meta.Status{Status: meta.StatusFailure, Code: 410, Reason: meta.StatusReasonExpired}
	for name, prepare := range map[string]func() *api{
		"that is there":            func() *api { return newAPI(node("pi", true)) },
		"that was changed in time": func() *api { return watched(watch.Event{Type: watch.Modified, Object: node("pi", true)}) },
		"that was made in time":    func() *api { return watched(watch.Event{Type: watch.Added, Object: node("pi", true)}) },
		"after events of no matter": func() *api {
			return watched(watch.Event{Type: watch.Modified, Object: node("pi", false)}, watch.Event{Type: watch.Bookmark, Object: &core.Node{}}, watch.Event{Type: watch.Modified, Object: node("pi", true)})
		},
		"after it was removed": func() *api {
			return watched(watch.Event{Type: watch.Deleted, Object: node("pi", true)}, watch.Event{Type: watch.Added, Object: node("pi", true)})
		},
		"after the watch was too old": func() *api {
			a := watched(watch.Event{Type: watch.Error, Object: &gone})
			a.watches = append(a.watches, events(watch.Event{Type: watch.Modified, Object: node("pi", true)}))
			return a
		},
		"after the watch ended": func() *api {
			a := watched()
			a.watches[0].Stop()
			a.watches = append(a.watches, events(watch.Event{Type: watch.Modified, Object: node("pi", true)}))
			return a
		},
		"after no watch could be had": func() *api {
			a := newAPI(node("pi", false))
			a.later(func() { a.nodes[0] = *node("pi", true) })
			return a
		},
		"after no list could be had": func() *api {
			a := newAPI(node("pi", true))
			a.listErr = errors.New("forbidden: the node authorizer does not know the node yet")
			a.later(func() { a.listErr = nil })
			return a
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithTimeout(t.Context(), time.Minute)
				defer stop()
				found, err := insist(ctx, prepare(), "pi", hasRange)
				if err != nil || !hasRange(found) {
					t.Errorf("got %v, %v", found, err)
				}
			})
		})
	}
}

// watched is an API whose node is not ready and whose first watch has the events.
func watched(all ...watch.Event) *api {
	a := newAPI(node("pi", false))
	a.watches = []watch.Interface{events(all...)}
	return a
}

func events(all ...watch.Event) watch.Interface {
	w := watch.NewFakeWithChanSize(len(all), false)
	for _, event := range all {
		w.Action(event.Type, event.Object)
	}
	return w
}

func TestUntilEndsWithItsContext(t *testing.T) {
	for name, prepare := range map[string]func() *api{
		"while a watch is silent": func() *api { return watched() },
		"while nobody answers":    func() *api { return newAPI() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithTimeout(t.Context(), time.Minute)
				defer stop()
				began := time.Now()
				if found, err := insist(ctx, prepare(), "pi", hasRange); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got %v, %v", found, err)
				}
				if took := time.Since(began); took != time.Minute {
					t.Errorf("ended after %s", took)
				}
			})
		})
	}
}

func TestOnlyThisNodeIsAskedFor(t *testing.T) {
	a := newAPI(node("pi", true))
	if _, err := insist(t.Context(), a, "pi", hasRange); err != nil {
		t.Fatal(err)
	}
	list := a.Actions()[0].(clienttesting.ListAction)
	if got := list.GetListRestrictions().Fields.String(); got != "metadata.name=pi" {
		t.Errorf("asked for %q", got)
	}
}

func TestAKubeconfigThatIsNotThereIsAnError(t *testing.T) {
	if _, err := Until(t.Context(), filepath.Join(t.TempDir(), "none"), "pi", hasRange); err == nil {
		t.Error("no error")
	}
}
