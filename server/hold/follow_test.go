package hold

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	v1 "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/client-go/informers"
	"k8s.io/kubernetes/pkg/apis/core"
)

// TestWhatIsHeldUpIsMarkedUntilItIsLifted: the mark's end is what has the controller try again.
func TestWhatIsHeldUpIsMarkedUntilItIsLifted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		yes := true
		labels := map[string]string{"pod-template-generation": "1"}
		running := &v1.Pod{ObjectMeta: meta.ObjectMeta{Name: "web-x", Namespace: "shop", Labels: labels,
			OwnerReferences: []meta.OwnerReference{{Kind: "DaemonSet", Name: "web", Controller: &yes}}}, Spec: v1.PodSpec{NodeName: "far"}}
		stale := running.DeepCopy()
		stale.Name, stale.Labels = "web-y", map[string]string{"pod-template-generation": "2", Since: "2026-11-21T08.00.00Z"}
		h, client := plugin(t, node("true"), daemons("", "2"), running, stale)
		ctx, stop := context.WithCancel(t.Context())
		known := informers.NewSharedInformerFactory(client, 0)
		h.SetExternalKubeInformerFactory(known)
		nodes := known.Core().V1().Nodes().Informer()
		known.Start(ctx.Done())
		ended := make(chan error, 1)
		go func() { ended <- h.Run(ctx, client, nodes, func() {}) }()
		since := func(name string) string {
			p, err := client.CoreV1().Pods("shop").Get(ctx, name, meta.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			return p.Labels[Since]
		}
		time.Sleep(time.Second)
		if since("web-y") != "" {
			t.Error("a mark of an earlier run that means nothing any more stays")
		}
		for range 3 {
			if err := h.Validate(ctx, write(nil, owned("DaemonSet", labels, "web-x"), core.Resource("pods"), admission.Delete, as(account+"daemon-set-controller")), nil); err == nil {
				t.Fatal("it may be deleted")
			}
			time.Sleep(time.Minute)
		}
		if at, err := time.Parse(sinceForm, since("web-x")); err != nil || time.Since(at) < 2*time.Minute {
			t.Errorf("held since %q", since("web-x"))
		}
		if list, err := client.CoreV1().Events("shop").List(ctx, meta.ListOptions{}); err != nil || len(list.Items) != 1 || list.Items[0].Reason != "RolloutHeld" {
			t.Errorf("the Events are %v, %v", list.Items, err)
		}
		if _, err := client.CoreV1().Nodes().Update(ctx, node(""), meta.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if since("web-x") != "" {
			t.Error("the mark stays when the hold is lifted")
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		known.Shutdown()
	})
}
