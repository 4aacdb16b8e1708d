package host

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/skerry-io/skerry/internal/fault"
)

// iface is what the choice of a node address needs to know of an interface.
type iface struct {
	Index int
	Name  string
	Up    bool
	Addrs []netip.Addr
}

// defaultRoute is one way out.
type defaultRoute struct {
	Index  int
	Metric int
	Source netip.Addr // preferred source, may be invalid
	V6     bool
}

// NodeIPs are the addresses that others are most likely to reach this host by, at most one IPv4 and one IPv6, in this order:
// that of the family's best default route; without one, that of the interface of the other family's. On a host without any
// default route they are the first global addresses of a real interface that is up.
func NodeIPs() ([]netip.Addr, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	var ifaces []iface
	for _, l := range links {
		i := iface{Index: l.Attrs().Index, Name: l.Attrs().Name, Up: l.Attrs().Flags&net.FlagUp != 0}
		addrs, err := netlink.AddrList(l, netlink.FAMILY_ALL)
		if err != nil {
			return nil, fmt.Errorf("list addresses of %s: %w", i.Name, err)
		}
		for _, a := range addrs {
			if ip, ok := netip.AddrFromSlice(a.IP); ok && lasting(ip.Unmap(), a.Flags) {
				i.Addrs = append(i.Addrs, ip.Unmap())
			}
		}
		slices.SortStableFunc(i.Addrs, order)
		ifaces = append(ifaces, i)
	}
	routes, err := defaultRoutes()
	if err != nil {
		return nil, err
	}
	if ips := pickNodeIPs(ifaces, routes); len(ips) > 0 {
		return ips, nil
	}
	return nil, fault.New("this host has no address that others could reach").
		Fix("connect it and give it an address, or set --node-ip to one of its own (ip address)")
}

// lasting says that an address is in use, and for long. What means "temporary" with IPv6, made by chance and replaced
// every day, means "another one of the same network" with IPv4.
func lasting(ip netip.Addr, flags int) bool {
	unfit := unix.IFA_F_TENTATIVE | unix.IFA_F_DEPRECATED
	if ip.Is6() {
		unfit |= unix.IFA_F_TEMPORARY
	}
	return flags&unfit == 0
}

// order puts the addresses of an interface so that it is the same at each look. The kernel has IPv4 in the order in which
// the addresses were added; with IPv6 each word of a router moves them. What is routed everywhere comes before what is
// private.
func order(a, b netip.Addr) int {
	if a.Is4() || b.Is4() {
		return a.BitLen() - b.BitLen()
	}
	if a.IsPrivate() != b.IsPrivate() {
		if a.IsPrivate() {
			return 1
		}
		return -1
	}
	return a.Compare(b)
}

// ForRanges are those of a host's addresses that count in a cluster with these ranges: the first of each family that the
// cluster has, in the cluster's order.
func ForRanges(ips []netip.Addr, ranges []netip.Prefix) []netip.Addr {
	var fit []netip.Addr
	for _, r := range ranges {
		i := slices.IndexFunc(ips, func(ip netip.Addr) bool { return ip.Is6() == r.Addr().Is6() })
		if i >= 0 && !slices.Contains(fit, ips[i]) {
			fit = append(fit, ips[i])
		}
	}
	return fit
}

// HasDefaultRoute says whether the host knows a way out.
func HasDefaultRoute() (bool, error) {
	routes, err := defaultRoutes()
	return len(routes) > 0, err
}

func defaultRoutes() ([]defaultRoute, error) {
	var routes []defaultRoute
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		all, err := netlink.RouteListFiltered(family, &netlink.Route{Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_TABLE)
		if err != nil {
			return nil, fmt.Errorf("list routes: %w", err)
		}
		for _, r := range all {
			if !isDefault(r.Dst) || r.Type != unix.RTN_UNICAST {
				continue
			}
			index := r.LinkIndex
			if index == 0 && len(r.MultiPath) > 0 {
				index = r.MultiPath[0].LinkIndex
			}
			source, _ := netip.AddrFromSlice(r.Src)
			routes = append(routes, defaultRoute{Index: index, Metric: r.Priority, Source: source.Unmap(), V6: family == netlink.FAMILY_V6})
		}
	}
	return routes, nil
}

func isDefault(dst *net.IPNet) bool {
	if dst == nil {
		return true
	}
	ones, _ := dst.Mask.Size()
	return ones == 0
}

// pickNodeIPs chooses; none when there is none.
func pickNodeIPs(ifaces []iface, routes []defaultRoute) []netip.Addr {
	routes = slices.Clone(routes)
	slices.SortStableFunc(routes, func(a, b defaultRoute) int { return a.Metric - b.Metric })
	four, at4 := byRoute(ifaces, routes, false)
	six, at6 := byRoute(ifaces, routes, true)
	switch {
	case four.IsValid() && !six.IsValid():
		six = beside(ifaces, at4, true)
	case six.IsValid() && !four.IsValid():
		four = beside(ifaces, at6, false)
	case !four.IsValid():
		four, six = byInterface(ifaces)
	}
	return slices.DeleteFunc([]netip.Addr{four, six}, func(ip netip.Addr) bool { return !ip.IsValid() })
}

// byRoute is the address of a family's best default route, and the interface that it leads to.
func byRoute(ifaces []iface, routes []defaultRoute, v6 bool) (ip netip.Addr, index int) {
	for _, r := range routes {
		if r.V6 != v6 {
			continue
		}
		if r.Source.IsValid() {
			return r.Source, r.Index
		}
		if ip := beside(ifaces, r.Index, v6); ip.IsValid() {
			return ip, r.Index
		}
	}
	return netip.Addr{}, 0
}

// beside is the address of a family on an interface; the invalid one when there is none.
func beside(ifaces []iface, index int, v6 bool) netip.Addr {
	for _, i := range ifaces {
		if i.Index == index {
			return i.address(v6)
		}
	}
	return netip.Addr{}
}

// byInterface gives the addresses of the first real interface with an IPv4 one, or else with an IPv6 one.
func byInterface(ifaces []iface) (four, six netip.Addr) {
	for _, v6 := range []bool{false, true} {
		for _, i := range ifaces {
			if i.Up && !virtualName(i.Name) && i.address(v6).IsValid() {
				return i.address(false), i.address(true)
			}
		}
	}
	return netip.Addr{}, netip.Addr{}
}

// address is the first global address of a family.
func (i iface) address(v6 bool) netip.Addr {
	for _, a := range i.Addrs {
		if a.Is6() == v6 && a.IsGlobalUnicast() {
			return a
		}
	}
	return netip.Addr{}
}

// virtualName tells the interfaces that container tools make.
func virtualName(name string) bool {
	return slices.ContainsFunc([]string{"cni", "docker", "veth", "br-", "virbr", "flannel", "cali", "cilium", "podman", "lxc", "kube-"},
		func(prefix string) bool { return strings.HasPrefix(name, prefix) }) || name == "lo"
}
