package servicelb

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/host"
)

// ground is a place on this host.
type ground struct {
	ip    netip.Addr
	link  netlink.Link
	has   bool
	apply func(host.Change) error
}

// find gives the interface whose network an address is of.
func find(ip netip.Addr, apply func(host.Change) error) (place, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	var found *ground
	has := false
	for _, link := range links {
		list, err := netlink.AddrList(link, netlink.FAMILY_ALL)
		if err != nil {
			return nil, fmt.Errorf("list addresses of %s: %w", link.Attrs().Name, err)
		}
		for _, a := range list {
			ours := temporary(a)
			switch {
			case a.IP.Equal(ip.AsSlice()) && !ours:
				return nil, fault.New("%s is an address of this host's own, on %s", ip, link.Attrs().Name).Fix("leave the addresses of hosts out of servicelb-pool")
			case a.IP.Equal(ip.AsSlice()):
				has = true
			case found == nil && !ours && a.Contains(ip.AsSlice()) && announces(link):
				found = &ground{ip: ip, link: link, apply: apply}
			}
		}
	}
	if found == nil {
		return nil, fault.New("%s is of no network that this host has an address in", ip).
			Fix("give servicelb-pool addresses of the nodes' network, or keep this node from announcing with a label of pools")
	}
	found.has = has
	return found, nil
}

// temporary tells the addresses that host.Address makes from those that someone else has given to the host.
func temporary(a netlink.Addr) bool {
	ones, bits := a.Mask.Size()
	return ones == bits && a.Flags&unix.IFA_F_DEPRECATED != 0 && a.Flags&unix.IFA_F_PERMANENT == 0
}

// announces says that there can be others on the interface, who are told by hardware address.
func announces(link netlink.Link) bool {
	const needed = net.FlagUp | net.FlagBroadcast
	return link.Attrs().Flags&needed == needed && link.Attrs().Flags&net.FlagLoopback == 0 && len(link.Attrs().HardwareAddr) == hardwareLength
}

func (g *ground) name() string     { return g.link.Attrs().Name }
func (g *ground) hardware() string { return g.link.Attrs().HardwareAddr.String() }
func (g *ground) present() bool    { return g.has }

func (g *ground) change() host.Address {
	return host.Address{Link: g.name(), Address: g.ip, Lifetime: lifetime}
}
func (g *ground) add() error    { return g.apply(g.change()) }
func (g *ground) remove() error { return g.change().Remove() }

func (g *ground) listen() (line, error) {
	return dial(g.ip, g.link.Attrs().Index, g.link.Attrs().HardwareAddr)
}
