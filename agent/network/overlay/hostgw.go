package overlay

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/skerry-io/skerry/internal/fault"
)

// hostGW leads each range to the node that has it. Nothing is wrapped, so nodes have to be on one network.
type hostGW struct {
	config Config
	up     Uplink
}

func (h *hostGW) MTU() int     { return h.up.MTU }
func (h *hostGW) Close() error { return nil }

func (h *hostGW) Announcement() (Announcement, error) {
	return Announcement{Type: "host-gw", Addrs: h.config.announced(h.up)}, nil
}

func (h *hostGW) Up([]netip.Prefix) (err error) {
	h.up, err = h.config.uplink(h.up)
	return err
}

func (h *hostGW) Sync(peers []Peer) error {
	var failed []error
	var routes []netlink.Route
	for _, peer := range peers {
		for _, to := range peer.Ranges {
			via := ofFamily(peer.Addrs, to.Addr().Is6())
			if !via.IsValid() {
				failed = append(failed, fmt.Errorf("node %s tells no address to reach %s by", peer.Node, to))
				continue
			}
			link := 0
			if h.config.Iface != "" {
				link = h.up.Index
			}
			routes = append(routes, routeTo(to, via, link))
		}
	}
	err := addRoutes(routes)
	if errors.Is(err, unix.ENETUNREACH) || errors.Is(err, unix.EHOSTUNREACH) {
		err = fault.New("a node is not on a network that this host is on").Because(err).
			Fix("bring the nodes onto one network, or set flannel-backend to vxlan on the servers")
	}
	return errors.Join(append(failed, err, dropRoutes(routes))...)
}
