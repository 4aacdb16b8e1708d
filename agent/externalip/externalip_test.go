package externalip

import (
	"net/netip"
	"slices"
	"testing"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

func at(kind core.NodeAddressType, address string) core.NodeAddress {
	return core.NodeAddress{Type: kind, Address: address}
}

func TestAddresses(t *testing.T) {
	c := Config{NodeName: "pi", Internal: []netip.Addr{netip.MustParseAddr("10.0.0.5"), netip.MustParseAddr("fd00::5")},
		External: []netip.Addr{netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("2001:db8::7")}}
	all := []core.NodeAddress{at(core.NodeInternalIP, "10.0.0.5"), at(core.NodeInternalIP, "fd00::5"),
		at(core.NodeExternalIP, "192.0.2.7"), at(core.NodeExternalIP, "2001:db8::7"), at(core.NodeHostName, "pi")}
	for name, test := range map[string]struct {
		have   []core.NodeAddress
		writes int
	}{
		"the kubelet has said its own":            {[]core.NodeAddress{at(core.NodeInternalIP, "10.0.0.5"), at(core.NodeHostName, "pi")}, 1},
		"an earlier start had other ones":         {[]core.NodeAddress{at(core.NodeInternalIP, "10.0.0.4"), at(core.NodeExternalIP, "192.0.2.1"), at(core.NodeHostName, "pi")}, 1},
		"all are there, and nothing is written":   {all, 0},
		"there are none, and all of them are put": {nil, 1},
	} {
		t.Run(name, func(t *testing.T) {
			node := &core.Node{ObjectMeta: meta.ObjectMeta{Name: "pi"}, Status: core.NodeStatus{Addresses: test.have}}
			client := fake.NewClientset(node)
			if err := c.write(t.Context(), client, node); err != nil {
				t.Fatal(err)
			}
			if got := len(client.Actions()); got != test.writes {
				t.Errorf("%d requests, want %d", got, test.writes)
			}
			now, err := client.CoreV1().Nodes().Get(t.Context(), "pi", meta.GetOptions{})
			if err != nil || !slices.Equal(now.Status.Addresses, all) {
				t.Errorf("got %v, %v", now.Status.Addresses, err)
			}
		})
	}
}
