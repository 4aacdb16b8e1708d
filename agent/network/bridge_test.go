package network

import (
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/skerry-io/skerry/internal/host/nstest"
)

func TestTheBridgeKeepsOnlyAddressesOfTheNodesRange(t *testing.T) {
	if !nstest.Inside(t) {
		return
	}
	if err := clearBridge(prefixes("10.42.1.0/24")); err != nil {
		t.Errorf("without a bridge: %v", err)
	}
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: Bridge}}
	if err := netlink.LinkAdd(bridge); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"10.42.0.1/24", "10.42.1.1/24", "fd00:42:0:1::1/64"} {
		addr, err := netlink.ParseAddr(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := netlink.AddrAdd(bridge, addr); err != nil {
			t.Fatal(err)
		}
	}
	if err := clearBridge(prefixes("10.42.1.0/24", "fd00:42:0:1::/64")); err != nil {
		t.Fatal(err)
	}
	addrs, err := netlink.AddrList(bridge, netlink.FAMILY_ALL)
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, addr := range addrs {
		left = append(left, addr.IPNet.String())
	}
	if len(left) != 2 || left[0] != "10.42.1.1/24" || left[1] != "fd00:42:0:1::1/64" {
		t.Errorf("left are %q", left)
	}
}
