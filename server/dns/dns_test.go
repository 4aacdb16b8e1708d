package dns

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/cache"

	"github.com/skerry-io/skerry/internal/wire"
)

func node(name string, ips ...string) *core.Node {
	n := &core.Node{ObjectMeta: meta.ObjectMeta{Name: name, UID: types.UID("uid-" + name)}}
	n.Status.Addresses = append(n.Status.Addresses, core.NodeAddress{Type: core.NodeExternalIP, Address: "203.0.113.1"})
	for _, ip := range ips {
		n.Status.Addresses = append(n.Status.Addresses, core.NodeAddress{Type: core.NodeInternalIP, Address: ip})
	}
	return n
}

// start keeps the objects in a fake cluster until the test ends.
func start(t *testing.T, client kubernetes.Interface, addresses ...string) {
	t.Helper()
	c := Config{Nodes: nodesOf(t, client), Log: slog.New(slog.DiscardHandler)}
	for _, a := range addresses {
		c.Addresses = append(c.Addresses, netip.MustParseAddr(a))
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, client, c, func() {}) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// endpoints are those of the Service, each as slice, type, address, node and port.
func endpoints(t *testing.T, client kubernetes.Interface) []string {
	t.Helper()
	list, err := client.DiscoveryV1().EndpointSlices(meta.NamespaceSystem).List(t.Context(), meta.ListOptions{LabelSelector: discovery.LabelServiceName + "=kube-dns"})
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, s := range list.Items {
		if len(s.OwnerReferences) != 1 || s.OwnerReferences[0].Kind != "Node" {
			t.Errorf("%s does not go with its Node: %v", s.Name, s.OwnerReferences)
		}
		for _, e := range s.Endpoints {
			all = append(all, strings.Join([]string{s.Name, string(s.AddressType), e.Addresses[0], *e.NodeName, *s.Ports[0].Name, *s.Ports[1].Name}, " "))
		}
	}
	slices.Sort(all)
	return all
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for began := time.Now(); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			t.Fatalf("it does not come true that %s", what)
		}
	}
}

func TestOneEndpointForEachNode(t *testing.T) {
	client := fake.NewClientset(node("a", "192.168.1.1"), node("b", "192.168.1.2", "fd00::2"))
	start(t, client, "10.43.0.10", "fd00:43::a")
	want := []string{"kube-dns-ipv4-a IPv4 192.168.1.1 a dns dns-tcp", "kube-dns-ipv4-b IPv4 192.168.1.2 b dns dns-tcp", "kube-dns-ipv6-b IPv6 fd00::2 b dns dns-tcp"}
	eventually(t, "each node is one", func() bool { return slices.Equal(endpoints(t, client), want) })

	nodes := client.CoreV1().Nodes()
	if _, err := nodes.UpdateStatus(t.Context(), node("a", "192.168.1.9"), meta.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	want[0] = "kube-dns-ipv4-a IPv4 192.168.1.9 a dns dns-tcp"
	eventually(t, "the endpoint moves with the node", func() bool { return slices.Equal(endpoints(t, client), want) })
	if err := nodes.Delete(t.Context(), "b", meta.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the endpoint goes with the node", func() bool { return slices.Equal(endpoints(t, client), want[:1]) })
	if err := client.DiscoveryV1().EndpointSlices(meta.NamespaceSystem).Delete(t.Context(), "kube-dns-ipv4-a", meta.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "what is deleted comes back", func() bool { return slices.Equal(endpoints(t, client), want[:1]) })
}

func get(t *testing.T, client kubernetes.Interface) *core.Service {
	t.Helper()
	s, err := client.CoreV1().Services(meta.NamespaceSystem).Get(t.Context(), wire.DNSService, meta.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		t.Fatal(err)
	}
	return s
}

func TestTheService(t *testing.T) {
	old := service([]netip.Addr{netip.MustParseAddr("10.99.0.10")})
	old.Spec.Selector = map[string]string{"k8s-app": "kube-dns"}
	client := fake.NewClientset(old)
	start(t, client, "10.43.0.10")
	eventually(t, "the Service has the address of the settings", func() bool {
		s := get(t, client)
		return s.Spec.ClusterIP == "10.43.0.10" && s.Spec.Selector == nil && *s.Spec.InternalTrafficPolicy == core.ServiceInternalTrafficPolicyLocal &&
			s.Labels["k8s-app"] == "kube-dns" && s.Labels["kubernetes.io/name"] == "CoreDNS" && len(s.Spec.Ports) == 2
	})
	changed := get(t, client)
	changed.Spec.Ports[0].Port = 54
	changed.Labels["mine"] = "1"
	eventually(t, "the watch stands", func() bool { return watches(client) >= 3 })
	if _, err := client.CoreV1().Services(meta.NamespaceSystem).Update(t.Context(), changed, meta.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a change is undone", func() bool { s := get(t, client); return s.Spec.Ports[0].Port == 53 && s.Labels["mine"] == "1" })
	if err := client.CoreV1().Services(meta.NamespaceSystem).Delete(t.Context(), wire.DNSService, meta.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "what is deleted comes back", func() bool { return get(t, client).Name != "" })
}

func watches(client *fake.Clientset) int {
	n := 0
	for _, a := range client.Actions() {
		if a.GetVerb() == "watch" {
			n++
		}
	}
	return n
}

func TestTheServiceOfSomebodyElse(t *testing.T) {
	other := &core.Service{ObjectMeta: meta.ObjectMeta{Name: wire.DNSService, Namespace: meta.NamespaceSystem}, Spec: core.ServiceSpec{ClusterIP: "10.43.0.10"}}
	client := fake.NewClientset(other)
	err := Run(t.Context(), client, Config{Addresses: []netip.Addr{netip.MustParseAddr("10.43.0.10")}}, func() { t.Error("it is ready") })
	if err == nil || !strings.Contains(err.Error(), "somebody else") {
		t.Errorf("got %v", err)
	}
	if err := Remove(t.Context(), client); err != nil {
		t.Fatal(err)
	}
	if get(t, client).Name == "" {
		t.Error("it was removed")
	}
}

func TestNoTraceIsLeft(t *testing.T) {
	client := fake.NewClientset(node("a", "192.168.1.1"))
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- Run(ctx, client, Config{Addresses: []netip.Addr{netip.MustParseAddr("10.43.0.10")}, Nodes: nodesOf(t, client), Log: slog.New(slog.DiscardHandler)}, func() {})
	}()
	eventually(t, "the endpoint is there", func() bool { return len(endpoints(t, client)) == 1 })
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time there is nothing
		if err := Remove(t.Context(), client); err != nil {
			t.Fatal(err)
		}
	}
	roles, err := client.RbacV1().ClusterRoles().List(t.Context(), meta.ListOptions{})
	bindings, err2 := client.RbacV1().RoleBindings("").List(t.Context(), meta.ListOptions{})
	if err != nil || err2 != nil || len(roles.Items)+len(bindings.Items) > 0 || get(t, client).Name != "" || len(endpoints(t, client)) > 0 {
		t.Error("something is left")
	}
}

func TestOnlyWhatMattersWakes(t *testing.T) {
	before, beat := node("a", "192.168.1.1"), node("a", "192.168.1.1")
	beat.Status.Conditions = []core.NodeCondition{{Type: core.NodeReady}}
	beat.ResourceVersion = "2"
	if !same(before, beat) {
		t.Error("a heartbeat is taken for a change")
	}
	if same(before, node("a", "192.168.1.2")) {
		t.Error("another address is taken for none")
	}
}

// nodesOf watches the nodes of a fake cluster as long as the test.
func nodesOf(t *testing.T, client kubernetes.Interface) cache.SharedIndexInformer {
	t.Helper()
	factory := informers.NewSharedInformerFactory(client, 0)
	nodes := factory.Core().V1().Nodes().Informer()
	factory.Start(t.Context().Done())
	return nodes
}
