package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/skerry-io/skerry/internal/fault"
)

// Route keeps packets to a prefix on this host, so that pod and service traffic never leaves through the uplink.
type Route struct {
	Prefix netip.Prefix `json:"prefix"`
	Type   RouteType    `json:"type"`
	Metric int          `json:"metric,omitempty"` // a high one lets every real route win; 0 is the kernel's choice
	// Source is the address that programs of this host get as theirs, of Loopback routes only.
	Source netip.Addr `json:"source,omitzero"`
}

// RouteType is how packets end.
type RouteType string

const (
	// Unreachable answers with "host unreachable", so that connections end at once.
	Unreachable RouteType = "unreachable"
	// Blackhole drops without a word.
	Blackhole RouteType = "blackhole"
	// Loopback lets programs of this host send to the prefix: the packet starts towards lo, and a rule that translates
	// the destination sends it elsewhere. One that no rule takes is dropped there, as the host has no such address.
	Loopback RouteType = "loopback"
)

// defaultMetric6 is what the kernel makes of metric 0 for IPv6.
const defaultMetric6 = 1024

func (r Route) kind() string { return "route" }
func (r Route) live() bool   { return true }
func (r Route) id() string   { return fmt.Sprintf("%s %s metric %d", r.Type, r.Prefix, r.Metric) }

func (r Route) before(known json.RawMessage) (json.RawMessage, error) {
	return beforePresence(known, r.exists)
}

func (r Route) apply() error {
	route, err := r.netlink()
	if err != nil {
		return err
	}
	err = netlink.RouteAdd(route)
	if errors.Is(err, unix.EEXIST) {
		if there, listErr := r.exists(); listErr != nil || there {
			return listErr
		}
	}
	if err != nil {
		return fault.New("add route %s", r.id()).Because(err).Fix("see what holds the prefix: ip route show %s", r.Prefix)
	}
	return nil
}

func (r Route) undo(_ context.Context, before json.RawMessage) (string, error) {
	if existed, err := existedBefore(before); err != nil || existed {
		return notOurs, err
	}
	there, err := r.exists()
	if err != nil || !there {
		return "", err
	}
	route, err := r.netlink()
	if err != nil {
		return "", err
	}
	if err := netlink.RouteDel(route); err != nil && !errors.Is(err, unix.ESRCH) {
		return "", err
	}
	return "", nil
}

// exists finds a route of this prefix, type and metric in the main table.
func (r Route) exists() (bool, error) {
	route, err := r.netlink()
	if err != nil {
		return false, err
	}
	filter := *route
	filter.Table = unix.RT_TABLE_MAIN
	found, err := netlink.RouteListFiltered(route.Family, &filter, netlink.RT_FILTER_DST|netlink.RT_FILTER_TYPE|netlink.RT_FILTER_TABLE)
	if err != nil {
		return false, fmt.Errorf("list routes: %w", err)
	}
	for _, f := range found {
		if f.Priority == route.Priority {
			return true, nil
		}
	}
	return false, nil
}

func (r Route) netlink() (*netlink.Route, error) {
	if !r.Prefix.IsValid() {
		return nil, fault.New("route without a prefix")
	}
	p := r.Prefix.Masked()
	route := &netlink.Route{
		Dst:      &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())},
		Family:   netlink.FAMILY_V4,
		Priority: r.Metric,
	}
	if p.Addr().Is6() {
		route.Family = netlink.FAMILY_V6
		if r.Metric == 0 {
			route.Priority = defaultMetric6
		}
	}
	switch r.Type {
	case Unreachable:
		route.Type = unix.RTN_UNREACHABLE
	case Blackhole:
		route.Type = unix.RTN_BLACKHOLE
	case Loopback:
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return nil, fmt.Errorf("find the loopback interface: %w", err)
		}
		route.Type, route.LinkIndex = unix.RTN_UNICAST, lo.Attrs().Index
		if route.Family == netlink.FAMILY_V4 {
			route.Scope = netlink.SCOPE_LINK
		}
		if r.Source.IsValid() {
			route.Src = r.Source.AsSlice()
		}
	default:
		return nil, fault.New("route type %q is none of %s, %s, %s", r.Type, Unreachable, Blackhole, Loopback)
	}
	return route, nil
}
