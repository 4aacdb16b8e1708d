package overlay

import (
	"context"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/skerry-io/skerry/internal/host/nstest"
)

func TestTheKernelTellsOfLosses(t *testing.T) {
	if !nstest.Inside(t) {
		return
	}
	s := sideOf(1, "4")
	must(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "cable1"}, PeerName: "cable2"}))
	s.plug(t, "cable1")
	b := s.open(t, VXLAN, "4", t.TempDir())
	peer := Peer{Node: "pi", Ranges: prefixes("10.42.2.0/24"), Announcement: Announcement{Type: "vxlan",
		Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.2")}, Data: []byte(`{"VNI":1,"VtepMAC":"02:00:00:00:00:02"}`)}}
	must(t, b.Sync([]Peer{peer}))
	whole := state(t)

	ctx, stop := context.WithCancel(t.Context())
	changed, ended := make(chan struct{}, 100), make(chan error, 1)
	go func() { ended <- Watch(ctx, func() { changed <- struct{}{} }) }()
	hear := func(what string, want bool) {
		t.Helper()
		select {
		case <-changed:
			if !want {
				t.Errorf("%s is told", what)
			}
		case <-time.After(map[bool]time.Duration{true: 10 * time.Second, false: 100 * time.Millisecond}[want]):
			if want {
				t.Fatalf("%s is not told", what)
			}
		}
		for len(changed) > 0 {
			<-changed
		}
	}
	hear("the beginning", false)
	routes, err := ourRoutes()
	must(t, err)
	must(t, netlink.RouteDel(&routes[0]))
	hear("a lost route", true)
	must(t, b.Up(s.ranges))
	must(t, b.Sync([]Peer{peer}))
	if now := state(t); len(now) != len(whole) {
		t.Errorf("a lost route leaves %q", now)
	}

	link, err := netlink.LinkByName(vxlanName4)
	must(t, err)
	must(t, netlink.LinkDel(link))
	hear("a lost interface", true)
	must(t, b.Up(s.ranges))
	must(t, b.Sync([]Peer{peer}))
	if now := state(t); len(now) != len(whole) {
		t.Errorf("a lost interface leaves %q", now)
	}
	hear("the new interface", true)

	cable, err := netlink.LinkByName("cable2")
	must(t, err)
	must(t, netlink.LinkSetUp(cable))
	hear("a cable that is in again", true)
	stop()
	must(t, <-ended)
}

func TestAnotherAddressMakesTheInterfaceAnew(t *testing.T) {
	if !nstest.Inside(t) {
		return
	}
	s := sideOf(1, "4")
	must(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "cable1"}, PeerName: "cable2"}))
	s.plug(t, "cable1")
	s.open(t, VXLAN, "4", t.TempDir())
	cable, err := netlink.LinkByName("cable1")
	must(t, err)
	moved := netip.MustParseAddr("192.0.2.77")
	must(t, netlink.AddrAdd(cable, &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(moved, 24))}))
	must(t, netlink.LinkSetMTU(cable, 1400))
	s.addrs, s.ranges = []netip.Addr{moved}, prefixes("10.42.9.0/24")
	b := s.open(t, VXLAN, "4", t.TempDir())
	link, err := netlink.LinkByName(vxlanName4)
	must(t, err)
	if v := link.(*netlink.Vxlan); v.SrcAddr.String() != moved.String() || v.MTU != 1350 || v.HardwareAddr.String() != vtepMAC(s.name).String() {
		t.Errorf("got %+v", v)
	}
	addrs, err := netlink.AddrList(link, netlink.FAMILY_V4)
	must(t, err)
	if len(addrs) != 1 || addrs[0].IPNet.String() != "10.42.9.0/32" {
		t.Errorf("its addresses are %v", addrs)
	}
	if a, err := b.Announcement(); err != nil || len(a.Addrs) != 1 || a.Addrs[0] != moved {
		t.Errorf("told is %v, %v", a, err)
	}
	// A cable that is out, with which the address went, changes nothing.
	before := state(t)
	must(t, netlink.AddrDel(cable, &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(moved, 24))}))
	must(t, b.Up(s.ranges))
	if after := state(t); !slices.Equal(before, after) || b.MTU() != 1350 {
		t.Errorf("without the address %q became %q", before, after)
	}
	// Another backend takes it away.
	s.open(t, HostGW, "4", t.TempDir())
	if link, err := findLink(vxlanName4); err != nil || link != nil {
		t.Errorf("it is still there: %v, %v", link, err)
	}
}
