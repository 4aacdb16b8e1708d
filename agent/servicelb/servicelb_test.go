package servicelb

import (
	"context"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/skerry-io/skerry/internal/wire"
)

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

func pooled(name, announcers string, ips ...string) *core.Service {
	s := &core.Service{ObjectMeta: meta.ObjectMeta{Namespace: "shop", Name: name, Labels: map[string]string{wire.LabelServiceLB: wire.ServiceLBPool},
		Annotations: map[string]string{wire.AnnotationAnnouncers: announcers}}}
	for _, ip := range ips {
		s.Status.LoadBalancer.Ingress = append(s.Status.LoadBalancer.Ingress, core.LoadBalancerIngress{IP: ip})
	}
	return s
}

func TestClaims(t *testing.T) {
	nodes := pooled("c", "self", "192.0.2.3")
	nodes.Labels[wire.LabelServiceLB] = wire.ServiceLBNodes
	got := claims([]any{
		pooled("a", "other,self", "192.0.2.1", "2001:db8::1"), pooled("b", "other,selfish", "192.0.2.2"), nodes, pooled("d", "", "192.0.2.4"),
		pooled("e", "self", "127.0.0.1", "x", "224.0.0.1", "0.0.0.0"),
	}, "self")
	if len(got) != 2 || got[netip.MustParseAddr("192.0.2.1")].rank != 1 || got[netip.MustParseAddr("2001:db8::1")].service.Name != "a" {
		t.Errorf("got %v", got)
	}
}

// TestServicesComeAndGo: an address is on the interface while the Service lets this node have it, and stays when the process
// ends.
func TestServicesComeAndGo(t *testing.T) {
	api := fake.NewClientset(pooled("a", "self", "192.0.2.10"))
	n := &network{hosts: map[string]*fakeHost{}}
	for _, ip := range []string{"192.0.2.10", "192.0.2.11"} {
		n.hosts[ip] = &fakeHost{net: &network{}, mac: ip, claims: make(chan string, 1)}
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- begin(ctx, Config{Node: "self", Log: discard()}, api, func(ip netip.Addr) (place, error) { return n.hosts[ip.String()], nil }, func() {})
	}()
	has := func(want string) {
		t.Helper()
		testUntil(t, "has "+want, func() bool {
			var got []string
			for _, ip := range []string{"192.0.2.10", "192.0.2.11"} {
				if n.hosts[ip].present() {
					got = append(got, ip)
				}
			}
			return strings.Join(got, " ") == want
		})
	}
	services := api.CoreV1().Services("shop")
	has("192.0.2.10")
	if _, err := services.Update(t.Context(), pooled("a", "other", "192.0.2.10"), meta.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	has("")
	if _, err := services.Update(t.Context(), pooled("a", "self,other", "192.0.2.11"), meta.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	has("192.0.2.11")
	if err := services.Delete(t.Context(), "a", meta.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	has("")
	if _, err := services.Create(t.Context(), pooled("b", "self", "192.0.2.10"), meta.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	has("192.0.2.10")
	testUntil(t, "people are told", func() bool {
		events, err := api.CoreV1().Events("shop").List(t.Context(), meta.ListOptions{})
		return err == nil && len(events.Items) > 0 && events.Items[0].Reason == "AddressAnnounced"
	})
	cancel()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it does not end")
	}
	has("192.0.2.10")
}
