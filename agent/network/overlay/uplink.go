package overlay

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/skerry-io/skerry/internal/fault"
)

// usualMTU is that of Ethernet, for an uplink that is not there yet.
const usualMTU = 1500

// Uplink is the interface towards other nodes. The zero Index means that no interface has the node's address (now).
type Uplink struct {
	Index int
	MTU   int
	Addrs []netip.Addr // by which this node sends to others
}

// FindUplink gives the interface called iface or, without a name, the one that has the first of addrs that is anywhere.
func FindUplink(iface string, addrs []netip.Addr) (Uplink, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return Uplink{}, fmt.Errorf("list interfaces: %w", err)
	}
	if iface != "" {
		i := slices.IndexFunc(links, func(l netlink.Link) bool { return l.Attrs().Name == iface })
		if i < 0 {
			return Uplink{}, fault.New("there is no network interface %s", iface).Fix("set flannel-iface to one of this host (ip link)")
		}
		have, err := addresses(links[i])
		return Uplink{Index: links[i].Attrs().Index, MTU: links[i].Attrs().MTU, Addrs: preferred(have, addrs)}, err
	}
	up := Uplink{MTU: usualMTU, Addrs: addrs}
	for _, addr := range slices.Backward(addrs) { // the first one wins
		for _, link := range links {
			have, err := addresses(link)
			if err != nil {
				return Uplink{}, err
			}
			if slices.Contains(have, addr) {
				up.Index, up.MTU = link.Attrs().Index, link.Attrs().MTU
			}
		}
	}
	return up, nil
}

// uplink is the interface towards other nodes as it is now or, while the address is gone because a cable is, as it was last.
func (c Config) uplink(last Uplink) (Uplink, error) {
	up, err := FindUplink(c.Iface, c.Addrs)
	if err == nil && up.Index == 0 && last.Index != 0 {
		return last, nil
	}
	return up, err
}

// preferred is one address of each family that an interface has: one that is the node's, if any is.
func preferred(have, nodes []netip.Addr) []netip.Addr {
	var addrs []netip.Addr
	for _, six := range []bool{false, true} {
		both := slices.DeleteFunc(slices.Clone(nodes), func(a netip.Addr) bool { return !slices.Contains(have, a) })
		if addr := ofFamily(slices.Concat(both, have), six); addr.IsValid() {
			addrs = append(addrs, addr)
		}
	}
	return addrs
}

// addresses are those of an interface that others may know, without the kernel's temporary ones.
func addresses(link netlink.Link) ([]netip.Addr, error) {
	list, err := netlink.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		return nil, fmt.Errorf("list addresses of %s: %w", link.Attrs().Name, err)
	}
	var addrs []netip.Addr
	for _, a := range list {
		ip, _ := netip.AddrFromSlice(a.IP)
		ip = ip.Unmap()
		temporary := ip.Is6() && a.Flags&unix.IFA_F_TEMPORARY != 0 // of IPv4 the flag means something else
		if ip.IsGlobalUnicast() && !temporary {
			addrs = append(addrs, ip)
		}
	}
	return addrs, nil
}

// inner is what an uplink's MTU leaves for packets inside of packets. IPv6 does not work below its least MTU.
func inner(uplink, overhead int, pods []netip.Prefix) (int, error) {
	const least6 = 1280
	mtu := uplink - overhead
	if mtu < least6 && slices.ContainsFunc(pods, func(p netip.Prefix) bool { return p.Addr().Is6() }) {
		return 0, fault.New("the uplink's MTU %d leaves %d for pods, and IPv6 needs %d", uplink, mtu, least6).
			Fix("raise the MTU of the uplink, or set flannel-backend to host-gw")
	}
	return mtu, nil
}
