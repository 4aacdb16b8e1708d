package testhost

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// addressFrom is what is added to a host's number to get the end of its address.
const addressFrom = 10

// address is the Nth host's on the bridge.
func (b *bridge) address(number int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 200, 0, byte(addressFrom + number)}), 24)
}

// address6 is the Nth host's on the bridge.
func (b *bridge) address6(number int) netip.Prefix {
	return netip.MustParsePrefix(fmt.Sprintf("fd00:200::%d/64", addressFrom+number))
}

// connect gives a booted host its cable, addresses and routes.
func (h *Host) connect() error {
	var err error
	if h.router == nil {
		err = h.lab.net.cable(h.port(), "eth0", h.hardware(), h.Pid())
	} else {
		err = h.router.connect(h)
	}
	if err != nil {
		return fmt.Errorf("add the cable: %w", err)
	}
	inside, err := netlink.NewHandleAt(h.power.net.net())
	if err != nil {
		return fmt.Errorf("open netlink: %w", err)
	}
	defer inside.Close()
	if err := errors.Join(up(inside, "lo"), up(inside, "eth0"), h.addAddresses(inside), h.addBlackholes(inside)); err != nil {
		return fmt.Errorf("set up the network: %w", err)
	}
	return carrier(inside)
}

// hardware is the MAC address of eth0, which a power cut does not change: others remember it.
func (h *Host) hardware() net.HardwareAddr {
	return net.HardwareAddr{2, 's', 'k', 't', 0, byte(h.number)}
}

// cable adds a link from a port of the bridge to the network namespace of a process or of an open file.
func (b *bridge) cable(port, peer string, hardware net.HardwareAddr, namespace any) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = port
	attrs.MasterIndex = b.link.Attrs().Index
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: peer, PeerHardwareAddr: hardware}
	switch n := namespace.(type) {
	case int:
		veth.PeerNamespace = netlink.NsPid(n)
	case namespaces:
		veth.PeerNamespace = netlink.NsFd(n.net())
	}
	return errors.Join(b.handle.LinkAdd(veth), up(b.handle, port))
}

// addAddresses gives eth0 the host's addresses, and the default routes that go with them.
func (h *Host) addAddresses(inside *netlink.Handle) error {
	eth0, err := inside.LinkByName("eth0")
	if err != nil {
		return fmt.Errorf("find eth0: %w", err)
	}
	gateway := netip.MustParsePrefix(bridgeAddress).Addr()
	if h.router != nil {
		gateway = h.router.gateway().Addr()
	}
	errs := []error{addAddress(inside, eth0, h.address)}
	if h.defaultRoute {
		errs = append(errs, addDefault(inside, eth0, gateway))
	}
	if h.address6.IsValid() && h.router == nil {
		errs = append(errs, addAddress(inside, eth0, h.address6))
		if h.defaultRoute {
			errs = append(errs, addDefault(inside, eth0, netip.MustParsePrefix(bridgeAddress6).Addr()))
		}
	}
	return errors.Join(errs...)
}

// addBlackholes puts them behind any route that the product makes.
func (h *Host) addBlackholes(inside *netlink.Handle) error {
	var errs []error
	for _, cidr := range h.blackholes {
		_, network, err := net.ParseCIDR(cidr)
		errs = append(errs, err, inside.RouteAdd(&netlink.Route{Dst: network, Type: unix.RTN_BLACKHOLE, Priority: 4000}))
	}
	return errors.Join(errs...)
}

func addAddress(handle *netlink.Handle, link netlink.Link, address netip.Prefix) error {
	mask := net.CIDRMask(address.Bits(), address.Addr().BitLen())
	// Nobody else has an IPv6 address of the lab, so it need not be looked for before it may be used.
	return handle.AddrReplace(link, &netlink.Addr{IPNet: &net.IPNet{IP: address.Addr().AsSlice(), Mask: mask}, Flags: unix.IFA_F_NODAD})
}

func addDefault(handle *netlink.Handle, link netlink.Link, gateway netip.Addr) error {
	everything := &net.IPNet{IP: make(net.IP, gateway.BitLen()/8), Mask: net.CIDRMask(0, gateway.BitLen())}
	return handle.RouteReplace(&netlink.Route{Dst: everything, Gw: gateway.AsSlice(), LinkIndex: link.Attrs().Index})
}

// disconnect removes the cable at once: the kernel would remove it some time after the host's end.
func (h *Host) disconnect() error {
	if h.router != nil {
		return h.router.disconnect()
	}
	return unlink(h.lab.net.handle, h.port())
}

// unlink removes a link, if it is there.
func unlink(handle *netlink.Handle, name string) error {
	link, err := handle.LinkByName(name)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("find the cable: %w", err)
	}
	if err := handle.LinkDel(link); err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("remove the cable: %w", err)
	}
	return nil
}

// Address6 is the host's IPv6 address, empty when it has none.
func (h *Host) Address6() string {
	if !h.address6.IsValid() {
		return ""
	}
	return h.address6.Addr().String()
}

// Readdress gives the running host another IPv4 address in the same network, at once and as a DHCP client does: the old
// one goes first, and with it every route that the kernel ties to it. The host keeps the new one when it boots again.
func (h *Host) Readdress(address string) {
	h.lab.t.Helper()
	next, err := netip.ParseAddr(address)
	h.lab.must(err, "read the address")
	inside, err := netlink.NewHandleAt(h.power.net.net())
	h.lab.must(err, "open netlink in "+h.name)
	defer inside.Close()
	eth0, err := inside.LinkByName("eth0")
	h.lab.must(err, "find eth0 of "+h.name)
	mask := net.CIDRMask(h.address.Bits(), 32)
	old := &netlink.Addr{IPNet: &net.IPNet{IP: h.address.Addr().AsSlice(), Mask: mask}}
	h.lab.must(inside.AddrDel(eth0, old), "take the address of "+h.name)
	h.address = netip.PrefixFrom(next, h.address.Bits())
	h.lab.must(h.addAddresses(inside), "give another address to "+h.name)
}
