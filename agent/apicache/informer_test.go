package apicache

import (
	"slices"
	"strings"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
)

// follow runs an informer as the node's components do.
func (n *node) follow() cache.Store {
	n.t.Helper()
	factory := informers.NewSharedInformerFactoryWithOptions(n.as(selfUser, mediaBin), 0,
		informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.FieldSelector = ofThis }))
	informer := factory.Core().V1().Pods().Informer()
	factory.Start(n.t.Context().Done())
	n.t.Cleanup(factory.Shutdown)
	if !cache.WaitForCacheSync(n.t.Context().Done(), informer.HasSynced) {
		n.t.Fatal("the informer got no list")
	}
	return informer.GetStore()
}

func keys(store cache.Store) string {
	all := store.ListKeys()
	slices.Sort(all)
	return strings.ReplaceAll(strings.Join(all, " "), "default/", "")
}

func TestAnInformerDoesNotNoticeThatTheServerIsAwayAndCatchesUpWhenItIsBack(t *testing.T) {
	n := newNode(t)
	n.server.set(allPods, &core.PodList{}, pod("a", "10.0.0.1"), pod("b", "10.0.0.2"))
	running := n.follow()
	eventually(t, "the informer watches", func() bool { return watchers(n) == 1 })
	n.server.send(allPods, kwatch.Added, pod("c", "10.0.0.3"))
	eventually(t, "it hears of a third pod", func() bool { return keys(running) == "a b c" })
	n.cut()
	n.server.die()
	begun := n.follow() // by a component that is started meanwhile
	if got := keys(begun); got != "a b c" || keys(running) != got {
		t.Errorf("alone they know %q and %q", got, keys(running))
	}
	set(t, n.as(selfUser, mediaBin), `{"status":{"podIP":"10.0.0.7"}}`)
	for _, store := range []cache.Store{begun, running} {
		eventually(t, "it hears what the node says of a pod", func() bool {
			p, there, err := store.GetByKey("default/a")
			return err == nil && there && p.(*core.Pod).Status.PodIP == "10.0.0.7"
		})
	}
	n.server.set(allPods, &core.PodList{}, pod("a", "10.0.0.1"), pod("d", "10.0.0.4"))
	n.mend()
	began := time.Now()
	for _, store := range []cache.Store{begun, running} {
		eventually(t, "it knows what the server knows", func() bool {
			p, there, err := store.GetByKey("default/a")
			return keys(store) == "a d" && err == nil && there && p.(*core.Pod).Status.PodIP == "10.0.0.1"
		})
	}
	t.Logf("both know all after %v", time.Since(began).Round(10*time.Millisecond))
}

func watchers(n *node) int {
	n.server.mu.Lock()
	defer n.server.mu.Unlock()
	return len(n.server.watchers)
}
