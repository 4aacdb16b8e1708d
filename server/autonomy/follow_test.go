package autonomy

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
)

// site is a cluster with one node, which runs one pod, and a server that follows it.
type site struct {
	t      *testing.T
	client *fake.Clientset
}

// follows tries it with a server that has just started.
func follows(t *testing.T, n *core.Node, check func(*site)) { followsAfter(t, 0, n, check) }

// followsAfter tries it with one that was there for a while before it followed, because another server did.
func followsAfter(t *testing.T, while time.Duration, n *core.Node, check func(*site)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		for i := range n.Status.Conditions { // by the clock of this test
			n.Status.Conditions[i].LastTransitionTime = meta.Now()
		}
		s := &site{t, fake.NewClientset(n, &core.Pod{ObjectMeta: meta.ObjectMeta{Name: "web", Namespace: "default"}, Spec: core.PodSpec{NodeName: "far"},
			Status: core.PodStatus{Conditions: []core.PodCondition{{Type: core.PodReady, Status: core.ConditionTrue}}}})}
		a := New(slog.New(slog.DiscardHandler))
		time.Sleep(while)
		ctx, stop := context.WithCancel(t.Context())
		factory := informers.NewSharedInformerFactory(s.client, 0)
		nodes := factory.Core().V1().Nodes().Informer()
		factory.Start(ctx.Done())
		ended := make(chan error, 1)
		go func() { ended <- a.Run(ctx, s.client, nodes, func() {}) }()
		synctest.Wait()
		check(s)
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		factory.Shutdown()
	})
}

func (s *site) set(n *core.Node) {
	s.t.Helper()
	if _, err := s.client.CoreV1().Nodes().Update(s.t.Context(), n, meta.UpdateOptions{}); err != nil {
		s.t.Fatal(err)
	}
	time.Sleep(time.Second)
}

func (s *site) ready() bool {
	s.t.Helper()
	p, err := s.client.CoreV1().Pods("default").Get(s.t.Context(), "web", meta.GetOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	return p.Status.Conditions[0].Status == core.ConditionTrue
}

// events are the reasons and counts.
func (s *site) events() string {
	s.t.Helper()
	list, err := s.client.CoreV1().Events("default").List(s.t.Context(), meta.ListOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	var all []string
	for _, e := range list.Items {
		all = append(all, e.Reason+strings.Repeat("+", int(e.Count)-1))
	}
	return strings.Join(all, " ")
}

func TestWhenTheTimeIsOver(t *testing.T) {
	follows(t, aNode("2h", core.ConditionUnknown), func(s *site) {
		time.Sleep(119 * time.Minute)
		if !s.ready() || s.events() != "PodsStay" {
			t.Errorf("before: ready %t, %s", s.ready(), s.events())
		}
		time.Sleep(2 * time.Minute)
		if s.ready() || !strings.Contains(s.events(), "PodsNoLongerStay") {
			t.Errorf("after: ready %t, %s", s.ready(), s.events())
		}
	})
}

func TestWhenTheLabelGoes(t *testing.T) {
	follows(t, aNode("always", core.ConditionUnknown), func(s *site) {
		time.Sleep(1000 * time.Hour)
		if !s.ready() {
			t.Error("the pod is not ready")
		}
		n := aNode("", core.ConditionUnknown)
		n.Status.Conditions[0].LastTransitionTime = meta.NewTime(time.Now().Add(-1000 * time.Hour))
		s.set(n)
		if s.ready() || !strings.Contains(s.events(), "PodsNoLongerStay") {
			t.Errorf("ready %t, %s", s.ready(), s.events())
		}
	})
}

// TestWhenTheTimeWasOverBefore: the server was down when the time ended. The node has a minute to come back.
func TestWhenTheTimeWasOverBefore(t *testing.T) {
	n := aNode("1s", core.ConditionUnknown)
	follows(t, n, func(s *site) {
		time.Sleep(comeback - 2*time.Second)
		if !s.ready() {
			t.Error("the node had no time to come back")
		}
		time.Sleep(5 * time.Second)
		if s.ready() {
			t.Error("the pod is ready still")
		}
	})
	follows(t, n, func(s *site) {
		time.Sleep(comeback / 2)
		s.set(aNode("1s", core.ConditionTrue))
		time.Sleep(time.Hour)
		if !s.ready() {
			t.Error("the pod of a node that came back is not ready")
		}
	})
}

// TestWhenAnotherServerFollowedBefore: what it had not settled is settled by the one that takes over, however long that has been up.
func TestWhenAnotherServerFollowedBefore(t *testing.T) {
	for _, up := range []time.Duration{0, comeback / 2, comeback, 100 * time.Hour} {
		followsAfter(t, up, aNode("", core.ConditionUnknown), func(s *site) {
			time.Sleep(comeback - 2*time.Second)
			if !s.ready() {
				t.Errorf("up for %s: the node had no time to come back", up)
			}
			time.Sleep(5 * time.Second)
			if s.ready() {
				t.Errorf("up for %s: the pod is ready still", up)
			}
		})
	}
}

// TestOtherNodesAreLeftAlone: what becomes of them is Kubernetes' own affair, but for what a server that was down had begun.
func TestOtherNodesAreLeftAlone(t *testing.T) {
	follows(t, aNode("", core.ConditionTrue), func(s *site) {
		time.Sleep(2 * comeback)
		s.set(aNode("", core.ConditionUnknown))
		time.Sleep(time.Hour)
		if !s.ready() || s.events() != "" {
			t.Errorf("ready %t, %s", s.ready(), s.events())
		}
	})
	follows(t, aNode("", core.ConditionUnknown), func(s *site) {
		time.Sleep(2 * comeback)
		if s.ready() {
			t.Error("an absence that was there at the start and covered before is not settled")
		}
	})
}

func TestAValueThatMeansNothingIsToldOnce(t *testing.T) {
	follows(t, aNode("soon", core.ConditionTrue), func(s *site) {
		time.Sleep(time.Second)
		away := aNode("soon", core.ConditionUnknown)
		s.set(away)
		if s.events() != "AutonomyRefused" {
			t.Errorf("the Events are %s", s.events())
		}
		s.set(aNode("later", core.ConditionUnknown))
		if s.events() != "AutonomyRefused AutonomyRefused" {
			t.Errorf("for another value the Events are %s", s.events())
		}
	})
}
