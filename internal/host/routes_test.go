package host

import (
	"log/slog"
	"net"
	"path/filepath"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/skerry-io/skerry/internal/host/nstest"
)

func TestRoutesOfAProtocolGo(t *testing.T) {
	if !nstest.Inside(t) {
		return
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		t.Fatal(err)
	}
	l, err := Open(filepath.Join(t.TempDir(), "ledger"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Apply(Routes{Protocol: 83}); err != nil {
		t.Fatal(err)
	}
	for text, protocol := range map[string]int{"192.0.2.0/25": 83, "2001:db8::/48": 83, "192.0.2.128/25": 3} {
		_, dst, err := net.ParseCIDR(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := netlink.RouteAdd(&netlink.Route{Dst: dst, LinkIndex: lo.Attrs().Index, Protocol: netlink.RouteProtocol(protocol)}); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if _, err := l.Undo(t.Context(), Live); err != nil {
			t.Fatal(err)
		}
	}
	for family, want := range map[int]int{netlink.FAMILY_V4: 1, netlink.FAMILY_V6: 0} {
		left := 0
		routes, err := netlink.RouteList(lo, family)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range routes {
			if r.Protocol == 83 || r.Protocol == 3 {
				left++
			}
		}
		if left != want {
			t.Errorf("left are %v", routes)
		}
	}
}
