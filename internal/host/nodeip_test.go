package host

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestPickNodeIPs(t *testing.T) {
	ip := netip.MustParseAddr
	eth := iface{Index: 2, Name: "eth0", Up: true, Addrs: []netip.Addr{ip("169.254.1.1"), ip("10.0.0.5"), ip("fd00::5")}}
	wifi := iface{Index: 3, Name: "wlan0", Up: true, Addrs: []netip.Addr{ip("192.168.1.7")}}
	bridge := iface{Index: 1, Name: "cni0", Up: true, Addrs: []netip.Addr{ip("10.42.0.1"), ip("fd42::1")}}
	down := iface{Index: 5, Name: "eth1", Addrs: []netip.Addr{ip("10.9.9.9")}}
	six := iface{Index: 2, Name: "eth0", Up: true, Addrs: []netip.Addr{ip("fe80::1"), ip("fd00::5")}}
	for name, c := range map[string]struct {
		ifaces []iface
		routes []defaultRoute
		want   string
	}{
		"the better route":                         {[]iface{bridge, eth, wifi}, []defaultRoute{{Index: 2, Metric: 600}, {Index: 3, Metric: 100}}, "192.168.1.7"},
		"its preferred source":                     {[]iface{eth}, []defaultRoute{{Index: 2, Source: ip("10.0.0.9")}}, "10.0.0.9 fd00::5"},
		"a route of each family":                   {[]iface{eth}, []defaultRoute{{Index: 2, V6: true, Metric: 1}, {Index: 2, Metric: 900}}, "10.0.0.5 fd00::5"},
		"each on an interface of its own":          {[]iface{wifi, eth}, []defaultRoute{{Index: 3}, {Index: 2, V6: true}}, "192.168.1.7 fd00::5"},
		"no route out by IPv6":                     {[]iface{bridge, eth}, []defaultRoute{{Index: 2}}, "10.0.0.5 fd00::5"},
		"no route out by IPv4":                     {[]iface{bridge, eth}, []defaultRoute{{Index: 2, V6: true}}, "10.0.0.5 fd00::5"},
		"IPv6 only":                                {[]iface{six}, []defaultRoute{{Index: 2, V6: true}}, "fd00::5"},
		"no route: a real one":                     {[]iface{bridge, down, eth}, nil, "10.0.0.5 fd00::5"},
		"no route, and IPv6 only":                  {[]iface{bridge, six}, nil, "fd00::5"},
		"a route without an address falls through": {[]iface{{Index: 9, Name: "tun0", Up: true}, eth}, []defaultRoute{{Index: 9}}, "10.0.0.5 fd00::5"},
		"nothing": {[]iface{bridge, down}, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := strings.Trim(fmt.Sprint(pickNodeIPs(c.ifaces, c.routes)), "[]"); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestWhichAddressesLast(t *testing.T) {
	four, six := netip.MustParseAddr("10.0.0.5"), netip.MustParseAddr("2001:db8::5")
	for name, c := range map[string]struct {
		ip    netip.Addr
		flags int
		want  bool
	}{
		"an ordinary one":                     {four, unix.IFA_F_PERMANENT, true},
		"a second IPv4 of one network":        {four, unix.IFA_F_SECONDARY, true},
		"a temporary IPv6, which is that bit": {six, unix.IFA_F_TEMPORARY, false},
		"one by a router":                     {six, unix.IFA_F_MANAGETEMPADDR, true},
		"one that is being tried":             {six, unix.IFA_F_TENTATIVE, false},
		"one that is given up":                {six, unix.IFA_F_DEPRECATED, false},
	} {
		if lasting(c.ip, c.flags) != c.want {
			t.Errorf("%s: %t", name, !c.want)
		}
	}
}

func TestTheOrderOfAddressesIsStable(t *testing.T) {
	want := "[10.0.0.9 10.0.0.5 2001:db8::5 2001:db8::6 fd00::1]"
	list := []netip.Addr{}
	for _, text := range []string{"fd00::1", "10.0.0.9", "2001:db8::6", "10.0.0.5", "2001:db8::5"} {
		list = append(list, netip.MustParseAddr(text))
	}
	if slices.SortStableFunc(list, order); fmt.Sprint(list) != want {
		t.Errorf("got %s", list)
	}
}

func TestForRanges(t *testing.T) {
	four, six := netip.MustParseAddr("10.0.0.5"), netip.MustParseAddr("fd00::5")
	r4, r6 := netip.MustParsePrefix("10.42.0.0/16"), netip.MustParsePrefix("fd42::/56")
	for name, c := range map[string]struct {
		ranges []netip.Prefix
		have   []netip.Addr
		want   []netip.Addr
	}{
		"IPv4":                   {[]netip.Prefix{r4}, []netip.Addr{four, six}, []netip.Addr{four}},
		"IPv6":                   {[]netip.Prefix{r6}, []netip.Addr{four, six}, []netip.Addr{six}},
		"both":                   {[]netip.Prefix{r4, r6}, []netip.Addr{four, six}, []netip.Addr{four, six}},
		"both, IPv6 first":       {[]netip.Prefix{r6, r4}, []netip.Addr{four, six}, []netip.Addr{six, four}},
		"both, and one is away":  {[]netip.Prefix{r4, r6}, []netip.Addr{four}, []netip.Addr{four}},
		"none of the right kind": {[]netip.Prefix{r6}, []netip.Addr{four}, nil},
	} {
		if got := ForRanges(c.have, c.ranges); !slices.Equal(got, c.want) {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestNodeIPsOfThisHost(t *testing.T) {
	ips, err := NodeIPs()
	t.Logf("%v, %v", ips, err) // a host without any address is fine: then err says so
	for _, ip := range ips {
		if !ip.IsGlobalUnicast() {
			t.Errorf("not global: %s", ip)
		}
	}
}
