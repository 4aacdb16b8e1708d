package netpol

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
)

// lifting makes the kernel route what pods of one node send each other, instead of passing it from port to port of the
// bridge, where rules of family inet see nothing unless br_netfilter shows it to them. A frame for a neighbour's MAC gets that
// of the bridge; ARP and neighbour discovery stay as they are. With closed, nothing else crosses the bridge from pod to pod.
// byName scopes that to the bridge, for which not every kernel has the means.
func lifting(bridge, mac string, pods []netip.Prefix, closed, byName bool) string {
	const discovery = "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, nd-router-advert, mld-listener-query, mld-listener-report, mld-listener-done, mld2-listener-report }"
	var s script
	rule := func(chain, format string, args ...any) {
		s.line("add rule bridge %s %s %s", table, chain, fmt.Sprintf(format, args...))
	}
	s.WriteString(removal("bridge"))
	s.line("add table bridge %s", table)
	s.line("add chain bridge %s prerouting { type filter hook prerouting priority dstnat; }", table)
	rule("prerouting", "meta pkttype != other return")
	rule("prerouting", discovery+" return")
	for _, cidr := range pods {
		header := familyOf(cidr.Addr()).header()
		rule("prerouting", "%s saddr %s %s daddr %s ether daddr set %s meta pkttype set host", header, cidr, header, cidr, mac)
	}
	if !closed {
		return s.String()
	}
	s.line("add chain bridge %s forward { type filter hook forward priority filter; }", table)
	rule("forward", discovery+" return")
	if byName {
		rule("forward", "meta obrname %q ether type != arp drop", bridge)
		return s.String()
	}
	for _, cidr := range pods {
		rule("forward", "%s saddr %s drop", familyOf(cidr.Addr()).header(), cidr)
	}
	return s.String()
}

// macOf gives the MAC of an interface, empty when there is no such interface.
func macOf(name string) (string, error) {
	link, err := netlink.LinkByName(name)
	var none netlink.LinkNotFoundError
	if errors.As(err, &none) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("look for interface %s: %w", name, err)
	}
	return link.Attrs().HardwareAddr.String(), nil
}
