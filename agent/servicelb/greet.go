package servicelb

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
)

// Greet says on the networks of this machine that it has these addresses. Who knew one as another machine's, which is gone, would
// send there for up to a minute: Linux says nothing by itself.
func Greet(ips []netip.Addr) error {
	all, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return fmt.Errorf("list addresses: %w", err)
	}
	var errs []error
	for _, a := range all {
		ip, ok := netip.AddrFromSlice(a.IP)
		if ip = ip.Unmap(); !ok || !slices.Contains(ips, ip) {
			continue
		}
		link, err := netlink.LinkByIndex(a.LinkIndex)
		if err != nil {
			errs = append(errs, fmt.Errorf("find the interface of %s: %w", ip, err))
			continue
		}
		if announces(link) {
			errs = append(errs, announce(ip, link))
		}
	}
	return errors.Join(errs...)
}

func announce(ip netip.Addr, link netlink.Link) error {
	l, err := dial(ip, link.Attrs().Index, link.Attrs().HardwareAddr)
	if err != nil {
		return err
	}
	defer l.close()
	return l.announce()
}
