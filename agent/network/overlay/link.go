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

// alias marks an interface as ours, in a field that the kernel keeps for administrators.
const alias = "skerry pod network"

// findLink gives an interface, nil when there is none.
func findLink(name string) (netlink.Link, error) {
	link, err := netlink.LinkByName(name)
	var none netlink.LinkNotFoundError
	if errors.As(err, &none) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for interface %s: %w", name, err)
	}
	return link, nil
}

// removeOthers deletes interfaces of ours but mine.
func removeOthers(mine []string) error {
	var failed []error
	for _, name := range []string{vxlanName4, vxlanName6, wireGuardName} {
		link, err := findLink(name)
		if err == nil && link != nil && link.Attrs().Alias == alias && !slices.Contains(mine, name) {
			err = netlink.LinkDel(link)
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("remove interface %s: %w", name, err))
		}
	}
	return errors.Join(failed...)
}

// raise gives an interface its MTU and the addresses that programs of this host send to other nodes' pods with, and
// sets it up. Those are the first of each range, which no pod gets, as hosts: no range hangs on this interface.
func raise(link netlink.Link, mtu int, own []netip.Prefix) error {
	name := link.Attrs().Name
	if link.Attrs().Alias != alias {
		if err := netlink.LinkSetAlias(link, alias); err != nil {
			return fmt.Errorf("mark interface %s: %w", name, err)
		}
	}
	if link.Attrs().MTU != mtu {
		if err := netlink.LinkSetMTU(link, mtu); err != nil {
			return fmt.Errorf("set the MTU of %s to %d: %w", name, mtu, err)
		}
	}
	if err := setAddresses(link, own); err != nil {
		return fmt.Errorf("set the address of %s: %w", name, err)
	}
	if link.Attrs().Flags&net.FlagUp != 0 {
		return nil
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("set interface %s up: %w", name, err)
	}
	return nil
}

func setAddresses(link netlink.Link, own []netip.Prefix) error {
	have, err := netlink.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		return err
	}
	var failed []error
	for _, a := range have {
		ip, _ := netip.AddrFromSlice(a.IP)
		if ip.IsLinkLocalUnicast() || slices.ContainsFunc(own, func(p netip.Prefix) bool { return p.Addr() == ip.Unmap() }) {
			continue
		}
		failed = append(failed, netlink.AddrDel(link, &a))
	}
	for _, p := range own {
		addr := p.Addr()
		if slices.ContainsFunc(have, func(a netlink.Addr) bool { return a.IP.Equal(addr.AsSlice()) }) {
			continue
		}
		add := &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(addr, addr.BitLen()))}
		if addr.Is6() {
			add.Flags = unix.IFA_F_NODAD
		}
		failed = append(failed, netlink.AddrAdd(link, add))
	}
	return errors.Join(failed...)
}
