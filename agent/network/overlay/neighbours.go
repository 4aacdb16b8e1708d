package overlay

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// forwarding says which host has a MAC.
func forwarding(link int, mac net.HardwareAddr, at netip.Addr) netlink.Neigh {
	return netlink.Neigh{LinkIndex: link, Family: unix.AF_BRIDGE, Flags: netlink.NTF_SELF, State: netlink.NUD_PERMANENT,
		IP: at.AsSlice(), HardwareAddr: mac}
}

// resolution says which MAC has an address.
func resolution(link int, ip netip.Addr, mac net.HardwareAddr) netlink.Neigh {
	return netlink.Neigh{LinkIndex: link, Family: familyOf(ip), State: netlink.NUD_PERMANENT, Type: unix.RTN_UNICAST,
		IP: ip.AsSlice(), HardwareAddr: mac}
}

// permanent are the entries of a link that someone made on purpose.
func permanent(link int) ([]netlink.Neigh, error) {
	var all []netlink.Neigh
	for _, family := range []int{unix.AF_BRIDGE, netlink.FAMILY_V4, netlink.FAMILY_V6} {
		list, err := netlink.NeighList(link, family)
		if err != nil {
			return nil, fmt.Errorf("list neighbours: %w", err)
		}
		for _, n := range list {
			// A bridge entry without a host is the kernel's.
			if n.State&netlink.NUD_PERMANENT != 0 && n.IP != nil {
				n.Family = family
				all = append(all, n)
			}
		}
	}
	return all, nil
}

func setNeighbours(link int, want []netlink.Neigh) error {
	have, err := permanent(link)
	if err != nil {
		return err
	}
	return forAbsent(want, have, sameNeighbour, func(w netlink.Neigh) error {
		if err := netlink.NeighSet(&w); err != nil {
			return fmt.Errorf("set the neighbour %s at %s: %w", w.IP, w.HardwareAddr, err)
		}
		return nil
	})
}

func dropNeighbours(link int, want []netlink.Neigh) error {
	have, err := permanent(link)
	if err != nil {
		return err
	}
	return forAbsent(have, want, sameNeighbour, func(h netlink.Neigh) error {
		if h.Family == unix.AF_BRIDGE {
			h.Flags = netlink.NTF_SELF
		}
		if err := netlink.NeighDel(&h); err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("delete the neighbour %s at %s: %w", h.IP, h.HardwareAddr, err)
		}
		return nil
	})
}

func sameNeighbour(a, b netlink.Neigh) bool {
	return a.Family == b.Family && a.IP.Equal(b.IP) && a.HardwareAddr.String() == b.HardwareAddr.String()
}
