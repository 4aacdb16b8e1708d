package servicelb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	ktesting "k8s.io/client-go/testing"

	"github.com/skerry-io/skerry/internal/run"
	"github.com/skerry-io/skerry/internal/wire"
)

// cluster is a fake API with a balancer at work.
type cluster struct {
	*fake.Clientset
	t *testing.T
}

func start(t *testing.T, c Config, objects ...runtime.Object) cluster {
	t.Helper()
	api := cluster{fake.NewClientset(objects...), t}
	api.run(c)
	return api
}

func (c cluster) run(config Config) {
	config.Log = slog.New(slog.DiscardHandler)
	factory := informers.NewSharedInformerFactory(c.Clientset, 0)
	config.Nodes = factory.Core().V1().Nodes().Informer()
	factory.Start(c.t.Context().Done())
	ctx, cancel := context.WithCancel(c.t.Context())
	ended, ready := make(chan error, 1), make(chan struct{})
	go func() { ended <- Run(ctx, c.Clientset, config, func() { close(ready) }) }()
	c.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			c.t.Error(err)
		}
	})
	select {
	case <-ready:
	case <-time.After(10 * time.Second):
		c.t.Fatal("it is not ready")
	}
}

func (c cluster) get(name string) *core.Service {
	c.t.Helper()
	s, err := c.CoreV1().Services("shop").Get(c.t.Context(), name, meta.GetOptions{})
	if err != nil {
		c.t.Fatal(err)
	}
	return s
}

// until waits until a Service has these addresses and this mark.
func (c cluster) until(name, addresses, mark string) {
	c.t.Helper()
	var got string
	for range 1000 {
		s := c.get(name)
		var list []string
		for _, in := range s.Status.LoadBalancer.Ingress {
			list = append(list, in.IP)
		}
		if got = strings.Join(list, " ") + " " + s.Labels[wire.LabelServiceLB]; got == addresses+" "+mark {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	c.t.Fatalf("%s has %q, not %q", name, got, addresses+" "+mark)
}

func (c cluster) change(name string, how func(*core.Service)) {
	c.t.Helper()
	s := c.get(name).DeepCopy()
	how(s)
	if _, err := c.CoreV1().Services("shop").Update(c.t.Context(), s, meta.UpdateOptions{}); err != nil {
		c.t.Fatal(err)
	}
}

// events waits for so many and gives them.
func (c cluster) events(count int) []core.Event {
	c.t.Helper()
	for range 1000 {
		list, err := c.CoreV1().Events("shop").List(c.t.Context(), meta.ListOptions{})
		if err != nil {
			c.t.Fatal(err)
		}
		if len(list.Items) >= count {
			return list.Items
		}
		time.Sleep(5 * time.Millisecond)
	}
	c.t.Fatalf("there are not %d events", count)
	return nil
}

func TestNothingRunsWithoutServices(t *testing.T) {
	class := "example.com/other"
	other := service("other", 80)
	other.Spec.LoadBalancerClass = &class
	c := start(t, limits(), node("n1", "192.0.2.1"), other)
	if _, err := c.CoreV1().Services("shop").Create(t.Context(), service("a", 80), meta.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	c.until("a", "192.0.2.1", "nodes")
	for _, action := range c.Actions() {
		if action.Matches("create", "services") {
			break
		}
		if kind := action.GetResource().Resource; kind != "services" && kind != "nodes" { // the test's own watch
			t.Errorf("before there was a Service: %v", action)
		}
	}
}

func TestAServiceThatComesAndChanges(t *testing.T) {
	c := start(t, limits(), node("n1", "192.0.2.1"), node("n2", "192.0.2.2"), service("a", 80))
	c.until("a", "192.0.2.1 192.0.2.2", "nodes")
	s := c.get("a")
	if in := s.Status.LoadBalancer.Ingress[0]; in.IPMode == nil || *in.IPMode != core.LoadBalancerIPModeVIP || fmt.Sprint(in.Ports) != "[{80 TCP <nil>}]" {
		t.Errorf("its status says %v", in)
	}
	if err := c.CoreV1().Nodes().Delete(t.Context(), "n1", meta.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	c.until("a", "192.0.2.2", "nodes")

	c.change("a", func(s *core.Service) { s.Spec.ExternalTrafficPolicy = core.ServiceExternalTrafficPolicyLocal })
	c.until("a", "", "nodes")
	on, no := "n2", false
	slice := &discovery.EndpointSlice{ObjectMeta: meta.ObjectMeta{Namespace: "shop", Name: "a-1", Labels: map[string]string{discovery.LabelServiceName: "a"}},
		Endpoints: []discovery.Endpoint{{NodeName: &on}}}
	slice, err := c.DiscoveryV1().EndpointSlices("shop").Create(t.Context(), slice, meta.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c.until("a", "192.0.2.2", "nodes")
	slice = slice.DeepCopy()
	slice.Endpoints[0].Conditions.Ready = &no
	if _, err := c.DiscoveryV1().EndpointSlices("shop").Update(t.Context(), slice, meta.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	c.until("a", "", "nodes")

	// The API server clears the status of a Service that changes its type.
	c.change("a", func(s *core.Service) { s.Spec.Type, s.Status = core.ServiceTypeClusterIP, core.ServiceStatus{} })
	if err := c.CoreV1().Services("shop").Delete(t.Context(), "a", meta.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}

func TestTheMarkGoesWithTheType(t *testing.T) {
	was := service("was", 80)
	was.Spec.Type = core.ServiceTypeClusterIP
	was.Labels[wire.LabelServiceLB] = "nodes"
	c := start(t, limits(), node("n1", "192.0.2.1"), was)
	c.until("was", "", "")
}

func TestTheSecondIsToldOnce(t *testing.T) {
	config := limits()
	config.Rows = &run.Rows{}
	c := start(t, config, node("n1", "192.0.2.1"), service("a", 80), service("b", 80))
	c.until("a", "192.0.2.1", "nodes")
	c.until("b", "", "nodes")
	event := c.events(1)[0]
	if told := config.Rows.Details(); len(told) != 2 || told[0].State != "served" || told[1].State != "refused" || told[1].Bad || told[1].Err.Error() != event.Message {
		t.Errorf("the status tells %+v", told)
	}
	if event.InvolvedObject.Name != "b" || event.Reason != "PortTaken" || !strings.Contains(event.Message, "shop/a") || event.Type != core.EventTypeWarning {
		t.Errorf("got %v", event)
	}
	c.change("b", func(s *core.Service) { s.Annotations["of"] = "someone" }) // looked at again
	c.change("a", func(s *core.Service) { s.Spec.Ports[0].Port = 81 })
	c.until("b", "192.0.2.1", "nodes")
	if again := c.events(1); len(again) != 1 || again[0].Count != 1 {
		t.Errorf("it was told %d times", again[0].Count)
	}
}

func TestAWriteThatFailsIsTriedAgain(t *testing.T) {
	api := cluster{fake.NewClientset(node("n1", "192.0.2.1"), service("a", 80)), t}
	var tries atomic.Int32
	api.PrependReactor("patch", "services", func(ktesting.Action) (bool, runtime.Object, error) {
		if tries.Add(1) == 1 {
			return true, nil, apierrors.NewConflict(core.Resource("services"), "a", errors.New("it has changed"))
		}
		return false, nil, nil
	})
	api.run(limits())
	api.until("a", "192.0.2.1", "nodes")
}

func TestFromNodesToAPoolAndBackToNothing(t *testing.T) {
	c := start(t, pooled("192.0.2.10-192.0.2.20"), node("n1", "192.0.2.1"), func() *core.Service {
		s := service("a", 80)
		s.Labels[wire.LabelServiceLB] = "nodes"
		s.Status.LoadBalancer.Ingress = []core.LoadBalancerIngress{{IP: "192.0.2.1"}}
		return s
	}(), func() *core.Service {
		s := service("foreign", 80)
		class := "example.com/other"
		s.Spec.LoadBalancerClass = &class
		s.Status.LoadBalancer.Ingress = []core.LoadBalancerIngress{{IP: "192.0.2.77"}}
		return s
	}())
	c.until("a", "192.0.2.10", "pool")
	if got := c.get("a").Annotations[wire.AnnotationAnnouncers]; got != "n1" {
		t.Errorf("announced by %q", got)
	}
}

func TestLeaveTakesEverythingBack(t *testing.T) {
	s := settled(verdict{service: service("a", 80), kind: wire.ServiceLBPool, announcers: []string{"n1"}})
	s.Status.LoadBalancer.Ingress = []core.LoadBalancerIngress{{IP: "192.0.2.10"}}
	foreign := service("foreign", 80)
	foreign.Status.LoadBalancer.Ingress = []core.LoadBalancerIngress{{IP: "192.0.2.77"}}
	c := cluster{fake.NewClientset(s, foreign), t}
	if err := Leave(t.Context(), c.Clientset, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	c.until("a", "", "")
	c.until("foreign", "192.0.2.77", "")
	if _, there := c.get("a").Annotations[wire.AnnotationAnnouncers]; there {
		t.Error("who announces it still stands there")
	}
}
