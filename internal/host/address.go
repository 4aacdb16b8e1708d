package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/skerry-io/skerry/internal/fault"
)

// Address is an address that this host answers for beside its own, for a time: the kernel takes it away unless Apply is
// called again before Lifetime is over. Programs of the host do not choose it as their source, and no route comes with it.
type Address struct {
	Link     string        `json:"link"`
	Address  netip.Addr    `json:"address"`
	Lifetime time.Duration `json:"-"` // whole seconds
}

func (a Address) kind() string { return "address" }
func (a Address) id() string   { return fmt.Sprintf("%s on %s", a.Address, a.Link) }
func (a Address) live() bool   { return true }

func (a Address) before(known json.RawMessage) (json.RawMessage, error) {
	return beforePresence(known, func() (bool, error) {
		_, there, err := a.find()
		return there, err
	})
}

func (a Address) apply() error {
	link, err := netlink.LinkByName(a.Link)
	if err != nil {
		return fmt.Errorf("look for interface %s: %w", a.Link, err)
	}
	addr := a.netlink()
	addr.ValidLft, addr.PreferedLft = int(a.Lifetime/time.Second), 0 // never preferred as a source
	addr.Flags = unix.IFA_F_NODAD | unix.IFA_F_NOPREFIXROUTE
	if err := netlink.AddrReplace(link, addr); err != nil {
		return fault.New("add address %s to %s", a.Address, a.Link).Because(err).Fix("see what the interface has: ip address show %s", a.Link)
	}
	return nil
}

func (a Address) undo(_ context.Context, before json.RawMessage) (string, error) {
	if existed, err := existedBefore(before); err != nil || existed {
		return notOurs, err
	}
	return "", a.Remove()
}

// Remove takes the address off the interface. It is no error when it is not there. The ledger goes on to list it.
func (a Address) Remove() error {
	link, there, err := a.find()
	if err != nil || !there {
		return err
	}
	if err := netlink.AddrDel(link, a.netlink()); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
		return fmt.Errorf("remove address %s from %s: %w", a.Address, a.Link, err)
	}
	return nil
}

// find says whether the interface has the address, alone and not as part of a network.
func (a Address) find() (netlink.Link, bool, error) {
	link, err := Link{Name: a.Link}.find()
	if err != nil || link == nil {
		return nil, false, err
	}
	list, err := netlink.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		return nil, false, fmt.Errorf("list addresses of %s: %w", a.Link, err)
	}
	want := a.netlink().IPNet.String()
	for _, have := range list {
		if have.IPNet.String() == want {
			return link, true, nil
		}
	}
	return link, false, nil
}

func (a Address) netlink() *netlink.Addr {
	bits := a.Address.BitLen()
	return &netlink.Addr{IPNet: &net.IPNet{IP: a.Address.AsSlice(), Mask: net.CIDRMask(bits, bits)}}
}
