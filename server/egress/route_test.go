package egress

import (
	"context"
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// fakeTunnels notes what goes through them.
type fakeTunnels struct {
	has     []string
	reached string
}

func (f *fakeTunnels) Dial(_ context.Context, node, to string) (net.Conn, error) {
	f.reached = node + " " + to
	return nil, nil
}

func (f *fakeTunnels) Has(node string) bool {
	for _, has := range f.has {
		if has == node {
			return true
		}
	}
	return false
}

func node(name, ip, pods string) *core.Node {
	return &core.Node{ObjectMeta: meta.ObjectMeta{Name: name}, Spec: core.NodeSpec{PodCIDR: pods, PodCIDRs: []string{pods}},
		Status: core.NodeStatus{Addresses: []core.NodeAddress{{Type: core.NodeInternalIP, Address: ip}, {Type: core.NodeHostName, Address: name}}}}
}

func pod(name, on, ip string, phase core.PodPhase) *core.Pod {
	return &core.Pod{ObjectMeta: meta.ObjectMeta{Namespace: "default", Name: name}, Spec: core.PodSpec{NodeName: on},
		Status: core.PodStatus{Phase: phase, PodIPs: []core.PodIP{{IP: ip}}}}
}

// example is a cluster: the server's own node, two nodes behind routers with one address, one with another port and
// IPv6, and one of a virtual kubelet.
func example(t *testing.T, mode Mode) *Dialer {
	t.Helper()
	d := New(mode, "own", &fakeTunnels{has: []string{"new"}})
	port := node("port", "10.0.0.7", "10.42.3.0/24")
	port.Spec.PodCIDRs = append(port.Spec.PodCIDRs, "fd42:3::/64")
	port.Status.Addresses = append(port.Status.Addresses, core.NodeAddress{Type: core.NodeInternalIP, Address: "fd00::7"})
	port.Status.DaemonEndpoints.KubeletEndpoint.Port = 20250
	virtual := node("virtual", "10.42.0.9", "")
	virtual.Status.Addresses = virtual.Status.Addresses[:1]
	for _, n := range []*core.Node{node("own", "10.0.0.1", "10.42.0.0/24"), node("home-a", "192.168.1.10", "10.42.1.0/24"),
		node("home-b", "192.168.1.10", "10.42.2.0/24"), port, virtual} {
		if err := d.book.nodes.Add(n); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range []*core.Pod{pod("host", "port", "10.0.0.7", core.PodRunning), pod("own", "own", "172.16.0.1", core.PodRunning),
		pod("apart", "home-a", "172.16.0.2", core.PodRunning), pod("done", "home-b", "172.16.0.2", core.PodSucceeded),
		pod("a", "home-a", "192.168.1.10", core.PodRunning), pod("b", "home-b", "192.168.1.10", core.PodRunning),
		pod("foreign", "virtual", "172.16.0.3", core.PodRunning)} {
		kept, err := trimPod(p)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.book.pods.Add(kept); err != nil {
			t.Fatal(err)
		}
	}
	d.book.completed()
	return d
}

func TestTheModes(t *testing.T) {
	direct := func(to string) [4]way { w := way{to: to}; return [4]way{w, w, w, w} }
	from := func(mode int, to string, w way) [4]way {
		all := direct(to)
		for i := mode; i < len(all); i++ {
			all[i] = w
		}
		return all
	}
	const agent, pods, cluster = 1, 2, 3
	for address, want := range map[string][4]way{ // disabled, agent, pod, cluster
		"home-a:10250":       from(agent, "home-a:10250", way{node: "home-a", to: "127.0.0.1:10250"}),
		"home-b:10250":       from(agent, "home-b:10250", way{node: "home-b", to: "127.0.0.1:10250"}),
		"port:20250":         from(agent, "port:20250", way{node: "port", to: "127.0.0.1:20250"}),
		"10.0.0.7:20250":     from(agent, "10.0.0.7:20250", way{node: "port", to: "127.0.0.1:20250"}),
		"[fd00::7]:20250":    from(agent, "[fd00::7]:20250", way{node: "port", to: "127.0.0.1:20250"}),
		"new:10250":          from(agent, "new:10250", way{node: "new", to: "127.0.0.1:10250"}),
		"own:10250":          from(agent, "own:10250", way{to: "127.0.0.1:10250", orElse: "10.0.0.1:10250"}),
		"10.0.0.1:10250":     from(agent, "10.0.0.1:10250", way{to: "127.0.0.1:10250", orElse: "10.0.0.1:10250"}),
		"own:9100":           from(agent, "own:9100", way{to: "10.0.0.1:9100"}),
		"port:9100":          {{to: "port:9100"}, {to: "10.0.0.7:9100"}, {to: "10.0.0.7:9100"}, {node: "port", to: "10.0.0.7:9100"}},
		"10.42.1.5:443":      from(pods, "10.42.1.5:443", way{node: "home-a", to: "10.42.1.5:443"}),
		"[fd42:3::5]:443":    from(pods, "[fd42:3::5]:443", way{node: "port", to: "[fd42:3::5]:443"}),
		"10.42.0.5:443":      direct("10.42.0.5:443"), // of the own node
		"10.0.0.7:8443":      from(cluster, "10.0.0.7:8443", way{node: "port", to: "10.0.0.7:8443"}),
		"172.16.0.2:443":     from(cluster, "172.16.0.2:443", way{node: "home-a", to: "172.16.0.2:443"}),
		"172.16.0.1:443":     direct("172.16.0.1:443"),
		"172.16.0.3:443":     direct("172.16.0.3:443"),   // a node without tunnels
		"192.168.1.10:443":   direct("192.168.1.10:443"), // no telling which
		"10.43.0.10:443":     direct("10.43.0.10:443"),   // a Service
		"10.42.0.9:10250":    direct("10.42.0.9:10250"),  // the virtual kubelet, a pod of the own node
		"hook.example:443":   direct("hook.example:443"), // a webhook by URL
		"virtual:10250":      direct("virtual:10250"),    // not one that calls itself so
		"home-a.example:443": direct("home-a.example:443"),
	} {
		host, port, err := split(address)
		if err != nil {
			t.Fatal(err)
		}
		for i, mode := range []Mode{Disabled, Agent, Pod, Cluster} {
			if got, err := example(t, mode).route(host, port); err != nil || got != want[i] {
				t.Errorf("%s, mode %s: got %+v, %v, want %+v", address, mode, got, err, want[i])
			}
		}
	}
}

func TestOneAddressOfTwoNodes(t *testing.T) {
	for _, c := range []struct {
		here      []string
		want, err string
	}{
		{[]string{"home-b"}, "home-b 127.0.0.1:10250", ""}, // the other one was switched off, and its address is used again
		{[]string{"home-a"}, "home-a 127.0.0.1:10250", ""},
		{[]string{"home-a", "home-b"}, "", "192.168.1.10 is the address of the nodes home-"},
	} {
		d := example(t, Agent)
		tunnels := &fakeTunnels{has: c.here}
		d.tunnels = tunnels
		_, err := d.Dial(t.Context(), "tcp", "192.168.1.10:10250")
		if tunnels.reached != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("with tunnels of %v: %q, %v", c.here, tunnels.reached, err)
		}
	}
}

func TestDial(t *testing.T) {
	d := example(t, Agent)
	var dialed []string
	d.direct = func(_ context.Context, _, address string) (net.Conn, error) {
		dialed = append(dialed, address)
		if address == "127.0.0.1:10250" {
			return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
		}
		return nil, nil
	}
	for _, address := range []string{"home-a:10250", "10.43.0.1:443", "own:10250"} {
		if _, err := d.Dial(t.Context(), "tcp", address); err != nil {
			t.Error(err)
		}
	}
	if got := d.tunnels.(*fakeTunnels).reached; got != "home-a 127.0.0.1:10250" {
		t.Errorf("through the tunnel: %s", got)
	}
	if got := strings.Join(dialed, " "); got != "10.43.0.1:443 127.0.0.1:10250 10.0.0.1:10250" {
		t.Errorf("directly: %s", got)
	}
	for _, wrong := range []string{"home-a", "home-a:kubelet", "home-a:70000"} {
		if _, err := d.Dial(t.Context(), "tcp", wrong); err == nil {
			t.Errorf("%s passes", wrong)
		}
	}
}

// Until the first list of nodes is there, only what depends on it waits, and not for ever.
func TestBeforeTheListIsThere(t *testing.T) {
	for address, want := range map[string]time.Duration{"10.43.0.1:443": 0, "10.0.0.7:10250": bookPatience, "home-a:10250": bookPatience} {
		synctest.Test(t, func(t *testing.T) {
			d := New(Agent, "own", &fakeTunnels{})
			d.direct = func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("nobody") }
			began := time.Now()
			if _, err := d.Dial(t.Context(), "tcp", address); err == nil || err.Error() != "nobody" {
				t.Errorf("%s: %v", address, err)
			}
			if took := time.Since(began); took != want {
				t.Errorf("%s waited %s", address, took)
			}
		})
	}
}
