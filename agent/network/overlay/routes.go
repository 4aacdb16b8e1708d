package overlay

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// routeProtocol marks the routes to other nodes as ours, in a field that the kernel keeps for that.
const routeProtocol = 83

// metric6 is the kernel's own choice for IPv6; said, it can be compared.
const metric6 = 1024

// routeTo is a route of ours to a peer's pods.
func routeTo(to netip.Prefix, via netip.Addr, link int) netlink.Route {
	r := netlink.Route{Dst: ipNet(to), LinkIndex: link, Protocol: routeProtocol, Table: unix.RT_TABLE_MAIN, Family: familyOf(to.Addr())}
	if to.Addr().Is6() {
		r.Priority = metric6
	}
	if via.IsValid() {
		r.Gw = via.AsSlice()
	} else if to.Addr().Is4() {
		r.Scope = netlink.SCOPE_LINK
	}
	return r
}

// ourRoutes are all routes with our mark.
func ourRoutes() ([]netlink.Route, error) {
	var all []netlink.Route
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		list, err := netlink.RouteListFiltered(family, &netlink.Route{Protocol: routeProtocol, Table: unix.RT_TABLE_MAIN},
			netlink.RT_FILTER_PROTOCOL|netlink.RT_FILTER_TABLE)
		if err != nil {
			return nil, fmt.Errorf("list routes: %w", err)
		}
		all = append(all, list...)
	}
	return all, nil
}

// addRoutes adds what is missing; a route that is there already is not touched, one that leads elsewhere is replaced.
func addRoutes(want []netlink.Route) error {
	have, err := ourRoutes()
	if err != nil {
		return err
	}
	return forAbsent(want, have, sameRoute, func(w netlink.Route) error {
		if err := netlink.RouteReplace(&w); err != nil {
			return fmt.Errorf("add the route to %s: %w", w.Dst, err)
		}
		return nil
	})
}

// dropRoutes deletes those of ours whose destination is not wanted any more.
func dropRoutes(want []netlink.Route) error {
	have, err := ourRoutes()
	if err != nil {
		return err
	}
	sameDst := func(h, w netlink.Route) bool { return w.Dst.String() == h.Dst.String() }
	return forAbsent(have, want, sameDst, func(h netlink.Route) error {
		if err := netlink.RouteDel(&h); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("delete the route to %s: %w", h.Dst, err)
		}
		return nil
	})
}

// forAbsent does something with each of all that others have nothing like. One that fails does not keep the rest from it.
func forAbsent[T any](all, others []T, like func(one, other T) bool, do func(T) error) error {
	var failed []error
	for _, one := range all {
		if !slices.ContainsFunc(others, func(other T) bool { return like(one, other) }) {
			failed = append(failed, do(one))
		}
	}
	return errors.Join(failed...)
}

// sameRoute says that the kernel has what is wanted. A wanted route may leave the interface to the kernel.
func sameRoute(want, have netlink.Route) bool {
	return want.Dst.String() == have.Dst.String() && want.Gw.Equal(have.Gw) && want.Priority == have.Priority &&
		(want.LinkIndex == 0 || want.LinkIndex == have.LinkIndex)
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

func familyOf(a netip.Addr) int {
	if a.Is6() {
		return netlink.FAMILY_V6
	}
	return netlink.FAMILY_V4
}
