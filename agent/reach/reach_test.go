package reach

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/skerry-io/skerry/tunnel"
)

// example is a node with an address in its home network, one in the range of its pods, and some pods.
func example(mode string, dialed *[]string) *Reach {
	pod := func(name string, phase core.PodPhase, ips ...string) *core.Pod {
		p := &core.Pod{ObjectMeta: meta.ObjectMeta{Namespace: "default", Name: name}, Spec: core.PodSpec{NodeName: "pi"}, Status: core.PodStatus{Phase: phase}}
		for _, ip := range ips {
			p.Status.PodIPs = append(p.Status.PodIPs, core.PodIP{IP: ip})
		}
		return p
	}
	r := New(Config{Mode: mode, Node: "pi", Addresses: []netip.Addr{netip.MustParseAddr("192.168.1.10")}, Kubelet: 10250})
	r.pods = &cluster{node: "pi", api: fake.NewClientset(
		&core.Node{ObjectMeta: meta.ObjectMeta{Name: "pi"}, Spec: core.NodeSpec{PodCIDRs: []string{"10.42.1.0/24", "fd42:1::/64"}}},
		pod("host", core.PodRunning, "192.168.1.10"), pod("apart", core.PodRunning, "172.16.0.2", "fd00:16::2"), pod("done", core.PodSucceeded, "172.16.0.3"))}
	r.local = func() ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("192.168.1.10"), netip.MustParseAddr("10.42.1.1"), netip.MustParseAddr("172.17.0.1")}, nil
	}
	r.dial = func(_ context.Context, network, address string) (net.Conn, error) {
		*dialed = append(*dialed, network+" "+address)
		return nil, nil
	}
	return r
}

func TestWhatServersMayReach(t *testing.T) {
	const never, pod, cluster, always = "", "pod cluster", "cluster", "disabled agent pod cluster"
	for to, in := range map[string]string{
		"127.0.0.1:10250":          always,
		"[::1]:10250":              always,
		"[::ffff:127.0.0.1]:10250": always,
		"127.0.0.1:10248":          never, // other ports of the loopback: etcd, the API endpoint, whatever runs there
		"127.0.0.1:6444":           never,
		"192.168.1.10:22":          cluster, // a pod on the host's network lives there
		"10.42.1.7:8080":           pod,
		"[fd42:1::7]:8080":         pod,
		"10.42.1.1:22":             never, // the host, by its address towards the pods
		"10.42.2.7:8080":           never, // a pod of another node
		"172.16.0.2:443":           cluster,
		"[fd00:16::2]:443":         cluster,
		"172.16.0.3:443":           never, // a pod that has ended
		"172.17.0.1:443":           never,
		"192.168.1.1:80":           never, // the home network's router
		"169.254.169.254:80":       never,
		"10.43.0.1:443":            never,
		"224.0.0.1:80":             never,
		"0.0.0.0:10250":            never,
		"[fe80::1%eth0]:80":        never,
		"localhost:10250":          never,
		"pi:10250":                 never,
		"127.0.0.1":                never,
		"":                         never,
	} {
		for mode := range strings.FieldsSeq(always) {
			var dialed []string
			_, err := example(mode, &dialed).Dial(t.Context(), to)
			if want := strings.Contains(" "+in+" ", " "+mode+" "); want != (err == nil) || want != (len(dialed) == 1) {
				t.Errorf("%s, mode %s: %v, dialed %v", to, mode, err, dialed)
			}
			if err != nil && !errors.Is(err, tunnel.ErrForbidden) {
				t.Errorf("%s, mode %s: %v", to, mode, err)
			}
		}
	}
}

func TestAKubeletOnTheNodesAddressOnly(t *testing.T) {
	var dialed []string
	r := example("agent", &dialed)
	r.dial = func(_ context.Context, _, address string) (net.Conn, error) {
		dialed = append(dialed, address)
		if !strings.HasPrefix(address, "192.168.1.10:") {
			return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
		}
		return nil, nil
	}
	if _, err := r.Dial(t.Context(), "127.0.0.1:10250"); err != nil || len(dialed) != 3 {
		t.Errorf("%v after %v", err, dialed)
	}
	r.config.Addresses = nil
	if _, err := r.Dial(t.Context(), "127.0.0.1:10250"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("got %v", err)
	}
}

func TestLocalAddresses(t *testing.T) {
	all, err := localAddresses()
	if err != nil || len(all) == 0 || !all[0].IsValid() {
		t.Errorf("%v, %v", all, err)
	}
}
