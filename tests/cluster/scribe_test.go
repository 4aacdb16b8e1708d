package cluster_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// scribe writes ConfigMaps through a server until it is stopped, and knows which writes were answered.
type scribe struct {
	node     *node
	api      kubernetes.Interface
	mu       sync.Mutex // guards what follows
	answered []string
	last     time.Time
	longest  time.Duration // between two answers
	stop     func()
}

// write begins to write.
func write(t *testing.T, n *node, prefix string) *scribe {
	ctx, cancel := context.WithCancel(t.Context())
	w := &scribe{node: n, api: n.api, last: time.Now()}
	ended := make(chan struct{})
	w.stop = sync.OnceFunc(func() {
		cancel()
		<-ended
	})
	t.Cleanup(w.stop)
	go func() {
		defer close(ended)
		for i := 0; ctx.Err() == nil; {
			name := fmt.Sprintf("%s-%d", prefix, i)
			asked, done := context.WithTimeout(ctx, 3*time.Second) // one that was lost with a server is asked again
			_, err := w.api.CoreV1().ConfigMaps("default").Create(asked, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
			done()
			if err == nil || apierrors.IsAlreadyExists(err) {
				w.heard(name)
				i++
			}
			select {
			case <-time.After(50 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	}()
	return w
}

func (w *scribe) heard(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	w.longest, w.last = max(w.longest, now.Sub(w.last)), now
	w.answered = append(w.answered, name)
}

// all wants every write that was answered to be there, as a server sees it.
func (w *scribe) all(t *testing.T, from *node) {
	t.Helper()
	w.stop()
	list, err := from.api.CoreV1().ConfigMaps("default").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	for _, c := range list.Items {
		there[c.Name] = true
	}
	missing := slices.DeleteFunc(slices.Clone(w.answered), func(name string) bool { return there[name] })
	if len(missing) > 0 {
		t.Errorf("%s does not have %d of %d writes that were answered: %q", from.host.Name(), len(missing), len(w.answered), missing)
	}
	t.Logf("%d writes were answered, the longest pause was %s", len(w.answered), w.longest.Round(10*time.Millisecond))
}

func (w *scribe) answeredSince(when time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.last.Before(when) {
		return fmt.Errorf("the last answer was %s ago", time.Since(w.last))
	}
	return nil
}
