package servicelb

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-io/skerry/internal/config"
	"github.com/skerry-io/skerry/internal/wire"
)

// node is one that is Ready, with a label or two ("a=b").
func node(name, ip string, labels ...string) *core.Node {
	n := &core.Node{ObjectMeta: meta.ObjectMeta{Name: name, Labels: map[string]string{}}}
	for _, label := range labels {
		key, value, _ := strings.Cut(label, "=")
		n.Labels[key] = value
	}
	n.Status.Conditions = []core.NodeCondition{{Type: core.NodeReady, Status: core.ConditionTrue}}
	n.Status.Addresses = []core.NodeAddress{{Type: core.NodeHostName, Address: name}, {Type: core.NodeInternalIP, Address: ip}}
	return n
}

// service is one with TCP ports, as old as its name is early in the alphabet.
func service(name string, ports ...int32) *core.Service {
	s := &core.Service{ObjectMeta: meta.ObjectMeta{Namespace: "shop", Name: name, CreationTimestamp: meta.NewTime(time.Unix(int64(name[0]), 0)),
		Labels: map[string]string{}, Annotations: map[string]string{}}}
	s.Spec.Type, s.Spec.IPFamilies = core.ServiceTypeLoadBalancer, []core.IPFamily{core.IPv4Protocol}
	s.Spec.ExternalTrafficPolicy = core.ServiceExternalTrafficPolicyCluster
	for _, port := range ports {
		s.Spec.Ports = append(s.Spec.Ports, core.ServicePort{Port: port, Protocol: core.ProtocolTCP})
	}
	return s
}

// settled is the Service once a verdict was carried out.
func settled(v verdict) *core.Service {
	s := v.service
	s.Status.LoadBalancer.Ingress = v.ingress()
	s.Labels[wire.LabelServiceLB], s.Annotations[wire.AnnotationAnnouncers] = v.kind, strings.Join(v.announcers, ",")
	return s
}

func three() []*core.Node {
	return []*core.Node{node("n3", "192.0.2.3"), node("n1", "192.0.2.1"), node("n2", "192.0.2.2")}
}

func limits() Config {
	return Config{Reserved: []Reserved{{core.ProtocolTCP, 6443, "the API server"}, {core.ProtocolUDP, 8472, "the pod network"}},
		NodePorts: config.PortRange{First: 30000, Last: 32767}}
}

// say is a plan as a text: name=addresses, or name!reason.
func say(verdicts []verdict) string {
	var all []string
	for _, v := range verdicts {
		text := v.service.Name + "="
		for i, ip := range v.addresses {
			if i > 0 {
				text += "+"
			}
			text += strings.TrimPrefix(ip.String(), "192.0.2.")
		}
		if v.refusal != nil {
			text += "!" + v.refusal.reason
		}
		all = append(all, text)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func TestWhichNodesServe(t *testing.T) {
	for name, c := range map[string]struct {
		change func(v *view)
		want   string
	}{
		"all nodes":           {func(*view) {}, "a=1+2+3"},
		"one is not Ready":    {func(v *view) { v.nodes[0].Status.Conditions[0].Status = core.ConditionUnknown }, "a=1+2"},
		"one has not said so": {func(v *view) { v.nodes[0].Status.Conditions = nil }, "a=1+2"},
		"one is cordoned":     {func(v *view) { v.nodes[0].Spec.Unschedulable = true }, "a=1+2"},
		"none is Ready": {func(v *view) {
			for _, n := range v.nodes {
				n.Status.Conditions[0].Status = core.ConditionFalse
			}
		}, "a=1+2+3"},
		"one is excluded":  {func(v *view) { v.nodes[0].Labels[core.LabelNodeExcludeBalancers] = "" }, "a=1+2"},
		"one is named":     {func(v *view) { v.nodes[0].Labels["skerry.io/enablelb"] = "true" }, "a=3"},
		"one is named k3s": {func(v *view) { v.nodes[1].Labels["svccontroller.k3s.cattle.io/enablelb"] = "true" }, "a=1"},
		"one is named not": {func(v *view) { v.nodes[1].Labels["skerry.io/enablelb"] = "false" }, "a=1+2+3"},
		"by a pool's label": {func(v *view) {
			v.services[0].Labels["skerry.io/lbpool"] = "x"
			v.nodes[2].Labels["skerry.io/lbpool"] = "x"
		}, "a=2"},
		"by a pool's label of k3s": {func(v *view) {
			v.services[0].Labels["svccontroller.k3s.cattle.io/lbpool"] = "x"
			v.nodes[2].Labels["skerry.io/lbpool"] = "x"
		}, "a=2"},
		"a pool that nobody is in": {func(v *view) { v.services[0].Labels["skerry.io/lbpool"] = "x" }, "a="},
		"only where endpoints are": {func(v *view) {
			v.services[0].Spec.ExternalTrafficPolicy = core.ServiceExternalTrafficPolicyLocal
			v.endpoints = map[string]map[string]bool{"shop/a": {"n2": true, "gone": true}}
		}, "a=2"},
		"no endpoint": {func(v *view) { v.services[0].Spec.ExternalTrafficPolicy = core.ServiceExternalTrafficPolicyLocal }, "a="},
		"an external address": {func(v *view) {
			v.nodes[0].Status.Addresses = append(v.nodes[0].Status.Addresses, core.NodeAddress{Type: core.NodeExternalIP, Address: "192.0.2.99"})
		}, "a=99+1+2+3"},
		"another family": {func(v *view) { v.services[0].Spec.IPFamilies = []core.IPFamily{core.IPv6Protocol} }, "a="},
		"both families": {func(v *view) {
			v.services[0].Spec.IPFamilies = []core.IPFamily{core.IPv6Protocol, core.IPv4Protocol}
			v.nodes[0].Status.Addresses = append(v.nodes[0].Status.Addresses, core.NodeAddress{Type: core.NodeInternalIP, Address: "2001:db8::3"})
		}, "a=2001:db8::3+1+2+3"},
	} {
		v := view{services: []*core.Service{service("a", 80)}, nodes: three()}
		c.change(&v)
		if got := say(plan(limits(), v)); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
}

func TestWhoGetsAPort(t *testing.T) {
	udp := func(s *core.Service) *core.Service { s.Spec.Ports[0].Protocol = core.ProtocolUDP; return s }
	had := func(s *core.Service) *core.Service {
		return settled(plan(limits(), view{services: []*core.Service{s}, nodes: three()})[0])
	}
	in := func(pool string, s *core.Service) *core.Service { s.Labels["skerry.io/lbpool"] = pool; return s }
	six := func(s *core.Service) *core.Service { s.Spec.IPFamilies = []core.IPFamily{core.IPv6Protocol}; return s }
	own := service("a", 30080)
	own.Spec.Ports[0].NodePort = 30080
	for name, c := range map[string]struct {
		services []*core.Service
		want     string
	}{
		"the older one":                   {[]*core.Service{service("b", 80), service("a", 80)}, "a=1+2+3 b=!PortTaken"},
		"the one that has it":             {[]*core.Service{had(service("b", 80)), service("a", 80)}, "a=!PortTaken b=1+2+3"},
		"not the one that changed to it":  {[]*core.Service{had(service("b", 443)), func() *core.Service { s := had(service("a", 80)); s.Spec.Ports[0].Port = 443; return s }()}, "a=!PortTaken b=1+2+3"},
		"all ports or none":               {[]*core.Service{service("a", 80), service("b", 443, 80), service("c", 443)}, "a=1+2+3 b=!PortTaken c=1+2+3"},
		"another protocol":                {[]*core.Service{service("a", 53), udp(service("b", 53))}, "a=1+2+3 b=1+2+3"},
		"other nodes":                     {[]*core.Service{in("x", service("a", 80)), in("y", service("b", 80))}, "a=1 b=2"},
		"nodes in common":                 {[]*core.Service{in("x", service("a", 80)), service("b", 80)}, "a=1 b=!PortTaken"},
		"another family":                  {[]*core.Service{service("a", 80), six(service("b", 80))}, "a=1+2+3 b="},
		"a port of the API server":        {[]*core.Service{service("a", 80, 6443)}, "a=!PortReserved"},
		"the same number, other protocol": {[]*core.Service{service("a", 8472)}, "a=1+2+3"},
		"a port of the pod network":       {[]*core.Service{udp(service("a", 8472))}, "a=!PortReserved"},
		"a NodePort":                      {[]*core.Service{service("a", 30080)}, "a=!PortReserved"},
		"its own NodePort":                {[]*core.Service{own}, "a=1+2+3"},
	} {
		nodes := three()
		nodes[1].Labels["skerry.io/lbpool"], nodes[2].Labels["skerry.io/lbpool"] = "x", "y"
		if got := say(plan(limits(), view{services: c.services, nodes: nodes})); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
}

func TestTheRefusalNamesTheFirst(t *testing.T) {
	for _, v := range plan(limits(), view{services: []*core.Service{service("a", 80), service("b", 80)}, nodes: three()}) {
		if v.service.Name == "b" && (v.refusal == nil || !strings.Contains(v.refusal.message, "80/TCP") || !strings.Contains(v.refusal.message, "shop/a")) {
			t.Errorf("got %v", v.refusal)
		}
	}
}

// pooled are limits with a pool.
func pooled(ranges ...string) Config {
	c := limits()
	for _, text := range ranges {
		var r config.AddressRange
		if err := r.UnmarshalText([]byte(text)); err != nil {
			panic(err)
		}
		c.Pool = append(c.Pool, r)
	}
	return c
}

func TestAddressesOfAPool(t *testing.T) {
	wants := func(ip string, s *core.Service) *core.Service {
		s.Annotations["skerry.io/servicelb-addresses"] = ip
		return s
	}
	has := func(ip string, s *core.Service) *core.Service {
		s.Status.LoadBalancer.Ingress = []core.LoadBalancerIngress{{IP: ip}}
		return s
	}
	field := service("a", 80)
	field.Spec.LoadBalancerIP = "192.0.2.13"
	both := service("a", 80)
	both.Spec.IPFamilies = []core.IPFamily{core.IPv4Protocol, core.IPv6Protocol}
	six := service("b", 80)
	six.Spec.IPFamilies = []core.IPFamily{core.IPv6Protocol}
	for name, c := range map[string]struct {
		pool     string
		services []*core.Service
		want     string
	}{
		"one each, also for one port":   {"192.0.2.10-192.0.2.12", []*core.Service{service("b", 80), service("a", 80)}, "a=10 b=11"},
		"also for ports of nodes":       {"192.0.2.10", []*core.Service{service("a", 6443)}, "a=10"},
		"not those of nodes":            {"192.0.2.1-192.0.2.4", []*core.Service{service("a", 80), service("b", 80)}, "a=4 b=!PoolExhausted"},
		"what it has it keeps":          {"192.0.2.10-192.0.2.12", []*core.Service{service("a", 80), has("192.0.2.10", service("b", 80))}, "a=11 b=10"},
		"what is not of the pool goes":  {"192.0.2.10-192.0.2.12", []*core.Service{has("192.0.2.1", service("a", 80))}, "a=10"},
		"what two have the older keeps": {"192.0.2.10-192.0.2.12", []*core.Service{has("192.0.2.10", service("a", 80)), has("192.0.2.10", service("b", 80))}, "a=10 b=11"},
		"the one that is wanted":        {"192.0.2.10-192.0.2.14", []*core.Service{wants("192.0.2.12", service("a", 80))}, "a=12"},
		"wanted by the field":           {"192.0.2.10-192.0.2.14", []*core.Service{field}, "a=13"},
		"wanted instead of what it has": {"192.0.2.10-192.0.2.14", []*core.Service{wants("192.0.2.12", has("192.0.2.10", service("b", 80))), service("c", 80)}, "b=12 c=10"},
		"wanted, but another's":         {"192.0.2.10-192.0.2.14", []*core.Service{wants("192.0.2.10", service("a", 80)), has("192.0.2.10", service("b", 80))}, "a=!AddressTaken b=10"},
		"wanted, but outside":           {"192.0.2.10-192.0.2.14", []*core.Service{wants("192.0.2.9", service("a", 80))}, "a=!AddressOutsidePool"},
		"wanted, but a node's":          {"192.0.2.1-192.0.2.14", []*core.Service{wants("192.0.2.2", service("a", 80))}, "a=!AddressTaken"},
		"wanted, but no address":        {"192.0.2.10-192.0.2.14", []*core.Service{wants("ten", service("a", 80))}, "a=!AddressInvalid"},
		"wanted, of another family":     {"2001:db8::/120", []*core.Service{wants("2001:db8::1", service("a", 80))}, "a=!AddressInvalid"},
		"no address of the family":      {"192.0.2.10-192.0.2.14", []*core.Service{six}, "b=!PoolExhausted"},
		"not the ends of a network":     {"192.0.1.255-192.0.2.0", []*core.Service{service("a", 80)}, "a=!PoolExhausted"},
		"one of each family":            {"192.0.2.10 2001:db8::/120", []*core.Service{both}, "a=10+2001:db8::1"},
		"of the family there is":        {"192.0.2.10", []*core.Service{both}, "a=10"},
	} {
		if got := say(plan(pooled(strings.Fields(c.pool)...), view{services: c.services, nodes: three()})); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
}

func TestWhoAnnounces(t *testing.T) {
	s, nodes := service("a", 80), three()
	now := func() string {
		v := plan(pooled("192.0.2.10"), view{services: []*core.Service{s}, nodes: nodes, endpoints: map[string]map[string]bool{"shop/a": {"n2": true}}})
		settled(v[0])
		return fmt.Sprint(len(v[0].announcers), strings.Join(v[0].announcers, ","))
	}
	first := now()
	if first[0] != '3' || now() != first {
		t.Errorf("the list of three is %s and then %s", first, now())
	}
	nodes[0].Status.Conditions[0].Status = core.ConditionUnknown
	if got := now(); got[0] != '2' || strings.Contains(got, "n3") {
		t.Errorf("without n3 it is %s", got)
	}
	nodes[0].Status.Conditions[0].Status = core.ConditionTrue
	if got := now(); got[0] != '3' || !strings.HasSuffix(got, "n3") {
		t.Errorf("a node that returns pushes others away: %s", got)
	}
	s.Spec.ExternalTrafficPolicy = core.ServiceExternalTrafficPolicyLocal
	if got := now(); got != "1n2" {
		t.Errorf("where the endpoint is: %s", got)
	}
}

func TestWhatIsNotOurs(t *testing.T) {
	class := "example.com/other"
	other, marked, plain := service("a", 80), service("b", 80), service("c", 80)
	other.Spec.LoadBalancerClass, marked.Spec.LoadBalancerClass = &class, &class
	marked.Labels[wire.LabelServiceLB] = wire.ServiceLBPool
	marked.Status.LoadBalancer.Ingress = []core.LoadBalancerIngress{{IP: "192.0.2.1"}}
	verdicts := plan(limits(), view{services: []*core.Service{other, marked, plain}, nodes: three()})
	if got := say(verdicts); got != "b= c=1+2+3" {
		t.Errorf("got %s", got)
	}
}
