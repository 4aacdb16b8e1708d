package network

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
)

// clearBridge takes addresses of another range from the bridge, which is there from before the node got this one: the
// bridge plugin would refuse every pod.
func clearBridge(own []netip.Prefix) error {
	bridge, err := netlink.LinkByName(Bridge)
	var none netlink.LinkNotFoundError
	if errors.As(err, &none) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for interface %s: %w", Bridge, err)
	}
	addrs, err := netlink.AddrList(bridge, netlink.FAMILY_ALL)
	if err != nil {
		return fmt.Errorf("list addresses of %s: %w", Bridge, err)
	}
	for _, addr := range addrs {
		ip, _ := netip.AddrFromSlice(addr.IP)
		ip = ip.Unmap()
		if ip.IsLinkLocalUnicast() || slices.ContainsFunc(own, func(p netip.Prefix) bool { return p.Contains(ip) }) {
			continue
		}
		if err := netlink.AddrDel(bridge, &addr); err != nil {
			return fmt.Errorf("take %s from %s: %w", ip, Bridge, err)
		}
	}
	return nil
}
