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

// DefaultRouteIP is the address that others are most likely to reach this host by: that of the best default route, IPv4
// before IPv6. On a host without a default route it is the first global address of a real interface that is up.
func DefaultRouteIP() (netip.Addr, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return netip.Addr{}, fmt.Errorf("list interfaces: %w", err)
	}
	var ifaces []iface
	for _, l := range links {
		i := iface{Index: l.Attrs().Index, Name: l.Attrs().Name, Up: l.Attrs().Flags&net.FlagUp != 0}
		addrs, err := netlink.AddrList(l, netlink.FAMILY_ALL)
		if err != nil {
			return netip.Addr{}, fmt.Errorf("list addresses of %s: %w", i.Name, err)
		}
		for _, a := range addrs {
			if ip, ok := netip.AddrFromSlice(a.IP); ok && a.Flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_DEPRECATED|unix.IFA_F_TEMPORARY) == 0 {
				i.Addrs = append(i.Addrs, ip.Unmap())
			}
		}
		ifaces = append(ifaces, i)
	}
	routes, err := defaultRoutes()
	if err != nil {
		return netip.Addr{}, err
	}
	if ip := pickNodeIP(ifaces, routes); ip.IsValid() {
		return ip, nil
	}
	return netip.Addr{}, fault.New("this host has no address that others could reach").
		Fix("connect it and give it an address, or set --node-ip to one of its own (ip address)")
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

// pickNodeIP chooses; the invalid address when there is none.
func pickNodeIP(ifaces []iface, routes []defaultRoute) netip.Addr {
	routes = slices.Clone(routes)
	slices.SortStableFunc(routes, func(a, b defaultRoute) int {
		if a.V6 != b.V6 {
			if a.V6 {
				return 1
			}
			return -1
		}
		return a.Metric - b.Metric
	})
	for _, r := range routes {
		if r.Source.IsValid() {
			return r.Source
		}
		for _, i := range ifaces {
			if ip := i.address(r.V6); i.Index == r.Index && ip.IsValid() {
				return ip
			}
		}
	}
	for _, v6 := range []bool{false, true} {
		for _, i := range ifaces {
			if ip := i.address(v6); i.Up && !virtualName(i.Name) && ip.IsValid() {
				return ip
			}
		}
	}
	return netip.Addr{}
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
