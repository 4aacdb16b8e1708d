package nodes

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	core "k8s.io/api/core/v1"
	policy "k8s.io/api/policy/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	kubetesting "k8s.io/client-go/testing"

	"github.com/skerry-io/skerry/internal/cli/command"
)

// marking makes a fake cluster in which a pod that is evicted is marked to end, as the API server does, and stays: nobody
// ends it.
func marking(t *testing.T, objects ...runtime.Object) *fake.Clientset {
	client := evicting(willing, objects...)
	pods := core.SchemeGroupVersion.WithResource("pods")
	var mu sync.Mutex
	client.PrependReactor("create", "pods", func(action kubetesting.Action) (bool, runtime.Object, error) {
		if action.GetSubresource() != "eviction" {
			return false, nil, nil
		}
		mu.Lock()
		defer mu.Unlock()
		asked := action.(kubetesting.CreateAction).GetObject().(*policy.Eviction)
		object, err := client.Tracker().Get(pods, "default", asked.Name)
		if err != nil {
			return true, nil, err
		}
		marked := object.DeepCopyObject().(*core.Pod)
		grace := time.Hour // what the pod asks for
		if asked.DeleteOptions != nil && asked.DeleteOptions.GracePeriodSeconds != nil {
			grace = time.Duration(*asked.DeleteOptions.GracePeriodSeconds) * time.Second
		}
		at := meta.NewTime(time.Now().Add(grace))
		marked.DeletionTimestamp = &at
		return true, nil, client.Tracker().Update(pods, marked, "default")
	})
	return client
}

func TestANodeThatLosesItsPowerMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		held := pod("held", "ReplicaSet")
		held.Finalizers = []string{"example.com/backup"}
		client := marking(t, node("pi", "10.0.0.2", true), key("pi"), pod("web", "ReplicaSet"), held, pod("log", "DaemonSet"))
		var lost sync.WaitGroup
		lost.Go(func() {
			time.Sleep(40 * time.Second)
			if err := client.Tracker().Update(core.SchemeGroupVersion.WithResource("nodes"), node("pi", "10.0.0.2", false), ""); err != nil {
				t.Error(err)
			}
		})
		var out bytes.Buffer
		began := time.Now()
		err := remove(t.Context(), client, command.NodeRemove{Timeout: 5 * time.Minute}, "pi", &out)
		lost.Wait()
		if took := time.Since(began); err != nil || took > time.Minute {
			t.Errorf("after %s: %v", took, err)
		}
		for _, want := range []string{"node pi is not ready", "default/held is held by example.com/backup", "node pi is removed"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("it does not say %q:\n%s", want, &out)
			}
		}
	})
}

func TestAPodThatIsHeldOnANodeThatIsReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		held := pod("held", "ReplicaSet")
		held.Finalizers = []string{"example.com/backup"}
		client := marking(t, node("pi", "10.0.0.2", true), key("pi"), held)
		began := time.Now()
		err := remove(t.Context(), client, command.NodeRemove{Timeout: time.Minute}, "pi", &bytes.Buffer{})
		if took := time.Since(began); took > 2*time.Minute {
			t.Errorf("it took %s", took)
		}
		wantFault(t, "held", err, "default/held is held by example.com/backup", "uncordon pi")
	})
}
