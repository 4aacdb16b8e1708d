package cluster_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestKillAndPowerCut: whatever ends the server, it comes back without a hand, pods run, and nothing that was
// acknowledged is lost.
func TestKillAndPowerCut(t *testing.T) {
	n := startNode(t, []string{busybox})
	n.apply(t, "demo.yaml")
	n.create(t, sleeper("sleeper"))
	n.podReady(t, "sleeper")
	n.podsReady(t, "demo", 2)
	acknowledged := map[string]bool{}
	ready := readySince(n.pod(t, "sleeper"))

	for round := range 3 {
		t.Run(fmt.Sprintf("SIGKILL %d", round+1), func(t *testing.T) {
			before := n.pod(t, "sleeper")
			w := n.write(t, fmt.Sprintf("kill%d", round))
			n.proc.Kill()
			w.end(acknowledged)
			n.serve()
			n.ready(t)
			n.holds(t, acknowledged)
			n.podsReady(t, "demo", 2)
			now := n.podReady(t, "sleeper")
			if identity(now) != identity(before) {
				t.Errorf("the sleeper was\n%s\nis\n%s", identity(before), identity(now))
			}
			if !readySince(now).Equal(ready) {
				t.Errorf("the sleeper was out of its Services: it is ready since %s, and was since %s", readySince(now), ready)
			}
		})
	}
	for round := range 2 {
		t.Run(fmt.Sprintf("power cut %d", round+1), func(t *testing.T) {
			before := n.pod(t, "sleeper")
			w := n.write(t, fmt.Sprintf("power%d", round))
			n.host.PowerCut()
			w.end(acknowledged)
			n.host.Boot()
			n.serve()
			n.ready(t)
			n.holds(t, acknowledged)
			n.podUntil(t, "sleeper", "runs again", func(p *corev1.Pod) error {
				if !isReady(p) || identity(p) == identity(before) {
					return fmt.Errorf("it is %s", identity(p))
				}
				return nil
			})
			n.podsReady(t, "demo", 2)
		})
	}
	t.Run("the Service answers", func(t *testing.T) {
		n.eventually(t, "the demo answers through its Service", func() error {
			_, err := n.fetch("http://" + n.clusterIP(t, "demo") + "/version")
			return err
		})
	})
}

// writer creates ConfigMaps as fast as they are acknowledged.
type writer struct {
	stop context.CancelFunc
	all  sync.WaitGroup
	mu   sync.Mutex // guards done
	done []string
}

// write starts a writer and returns when it has written some.
func (n *node) write(t *testing.T, prefix string) *writer {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w := &writer{stop: cancel}
	for hand := range 4 {
		w.all.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				c := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s-%d-%d", prefix, hand, i)}}
				if _, err := n.api.CoreV1().ConfigMaps(inDefault).Create(ctx, c, metav1.CreateOptions{}); err != nil {
					return
				}
				w.mu.Lock()
				w.done = append(w.done, c.Name)
				w.mu.Unlock()
			}
		})
	}
	n.eventually(t, "some ConfigMaps are written", func() error {
		w.mu.Lock()
		defer w.mu.Unlock()
		if len(w.done) < 50 {
			return fmt.Errorf("%d are", len(w.done))
		}
		return nil
	})
	return w
}

// end stops the writer and adds what was acknowledged to it.
func (w *writer) end(to map[string]bool) {
	w.stop()
	w.all.Wait()
	for _, name := range w.done {
		to[name] = true
	}
}

// holds wants every ConfigMap of the set.
func (n *node) holds(t *testing.T, names map[string]bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	list, err := n.api.CoreV1().ConfigMaps(inDefault).List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]bool{}
	for _, c := range list.Items {
		have[c.Name] = true
	}
	lost := 0
	for name := range names {
		if !have[name] {
			lost++
		}
	}
	if lost > 0 {
		t.Errorf("%d of %d acknowledged ConfigMaps are lost", lost, len(names))
	}
}
