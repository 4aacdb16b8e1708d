package overlay

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/netip"
	"slices"

	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/host"
)

// The kinds of backend, as the setting names them.
const (
	VXLAN     = "vxlan"
	HostGW    = "host-gw"
	WireGuard = "wireguard-native"
	None      = "none" // the user brings a CNI plugin; Open does not know it
)

// Port is the UDP port on which nodes send to each other; 0 for a kind that needs none.
func Port(kind string) int {
	switch kind {
	case VXLAN, "":
		return vxlanPort
	case WireGuard:
		return wireGuardPort
	}
	return 0
}

// Announcement is what a node tells the others, so that they can send to it.
type Announcement struct {
	Type  string          // as flannel names it: vxlan, host-gw, wireguard
	Addrs []netip.Addr    // by which the others reach this node, at most one of each family
	Data  json.RawMessage // what else the backend needs to know; empty for some
}

// Peer is another node.
type Peer struct {
	Node   string
	Ranges []netip.Prefix // of its pods
	Announcement
}

// Backend is one way to carry packets. Its methods are called by one goroutine.
type Backend interface {
	// Up makes or adopts what this node needs to send and receive, for its own pods' ranges.
	Up(own []netip.Prefix) error
	// Sync makes the kernel lead to exactly these peers. A peer that cannot be led to does not keep the others from it;
	// the error joins all of those.
	Sync(peers []Peer) error
	// Announcement is valid after Up.
	Announcement() (Announcement, error)
	// MTU is what is left for pods' packets. Valid after Up.
	MTU() int
	// Close ends what runs in this process. What the kernel does by itself goes on.
	Close() error
}

// Config is what a backend needs to know.
type Config struct {
	Kind      string
	Node      string         // this node's name
	Cluster   []netip.Prefix // the pods' ranges of the whole cluster: its families decide what nodes reach each other by
	Iface     string         // the interface towards other nodes; empty for that of Addrs
	Addrs     []netip.Addr   // of this node
	Announced []netip.Addr   // by which others reach this node, where those differ from Addrs
	KeyFile   string         // of WireGuard; made when absent
	Apply     func(host.Change) error
	Log       *slog.Logger
}

// Open chooses the backend and takes away the interfaces of the others, which an earlier setting may have left.
func Open(c Config) (Backend, error) {
	var b Backend
	var mine []string
	switch c.Kind {
	case VXLAN, "":
		v := newVXLAN(c)
		b, mine = v, []string{v.name}
	case HostGW:
		b = &hostGW{config: c}
	case WireGuard:
		b, mine = &wireGuard{config: c}, []string{wireGuardName}
	default:
		return nil, fault.New("the server wants the network backend %q, which this version does not have", c.Kind).
			Fix("run the same version of Skerry on all nodes")
	}
	if err := c.Apply(host.Routes{Protocol: routeProtocol}); err != nil {
		return nil, err
	}
	return b, removeOthers(mine)
}

// six says that nodes reach each other by IPv6: only a cluster without IPv4 does.
func (c Config) six() bool {
	return !slices.ContainsFunc(c.Cluster, func(p netip.Prefix) bool { return p.Addr().Is4() })
}

// announced are the addresses to tell the others, of the cluster's families.
func (c Config) announced(up Uplink) []netip.Addr {
	var addrs []netip.Addr
	for _, six := range []bool{false, true} {
		if !slices.ContainsFunc(c.Cluster, func(p netip.Prefix) bool { return p.Addr().Is6() == six }) {
			continue
		}
		for _, list := range [][]netip.Addr{c.Announced, up.Addrs, c.Addrs} {
			if addr := ofFamily(list, six); addr.IsValid() {
				addrs = append(addrs, addr)
				break
			}
		}
	}
	return addrs
}

// ofFamily is the first address of a family, invalid when there is none.
func ofFamily(addrs []netip.Addr, six bool) netip.Addr {
	for _, addr := range addrs {
		if addr.Is6() == six {
			return addr
		}
	}
	return netip.Addr{}
}

// Close takes away all that a backend made, for a node that has none any more.
func Close() error { return errors.Join(removeOthers(nil), dropRoutes(nil)) }
