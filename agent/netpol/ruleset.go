package netpol

import (
	"maps"
	"net/netip"
	"slices"
)

// way is the direction that a rule is about, as the pod sees it.
type way string

const (
	ingress way = "ingress"
	egress  way = "egress"
)

// family is that of an address.
type family string

const (
	v4 family = "4"
	v6 family = "6"

	ports family = "ports" // of a set that has no addresses
)

func familyOf(a netip.Addr) family {
	if a.Is4() {
		return v4
	}
	return v6
}

// ruleset is what the kernel shall do. It is a value: two of them can be compared.
type ruleset struct {
	sets   map[string]set   // by name; the name follows from what is meant, so it stays when members change
	chains map[string]chain // by name; the name follows from the content, so a chain never changes
	maps   map[place]map[netip.Addr]string
}

// place is one of the four maps from the addresses of this node's pods to the chain that judges their connections. An
// address that is in none of a way may do everything that way.
type place struct {
	way    way
	family family
}

func places() []place {
	return []place{{egress, v4}, {egress, v6}, {ingress, v4}, {ingress, v6}}
}

// set is a set of addresses, or of ports. Members are sorted: one each, or first-last when it has ranges.
type set struct {
	family  family
	ranges  bool
	members []string
}

// chain lets a connection pass when one of its rules does, and drops it otherwise.
type chain struct {
	place
	note  string // the policies it is made of
	rules []rule
}

// rule lets a connection pass when all that it names holds.
type rule struct {
	peers    string // the set that the other side's address must be in; empty: any address
	own      string // the set that the pod's own address must be in; empty: any of those that come to the chain
	protocol string // tcp, udp or sctp; empty: any
	ports    []span // the port that is connected to; empty: any
}

func (r rule) equal(o rule) bool {
	return r.peers == o.peers && r.own == o.own && r.protocol == o.protocol && slices.Equal(r.ports, o.ports)
}

// span is a range of ports, both ends included.
type span struct{ first, last uint16 }

// isolated are the addresses that any policy is about, sorted.
func (r ruleset) isolated(f family) []netip.Addr {
	all := maps.Clone(r.maps[place{ingress, f}])
	maps.Copy(all, r.maps[place{egress, f}])
	return slices.SortedFunc(maps.Keys(all), netip.Addr.Compare)
}
