package servicelb

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	core "k8s.io/api/core/v1"

	"github.com/skerry-io/skerry/internal/config"
	"github.com/skerry-io/skerry/internal/wire"
)

// annotationWanted names the addresses that a Service wants, at most one of each family, separated by a comma. It comes
// before spec.loadBalancerIP, which holds only one.
const annotationWanted = "skerry.io/servicelb-addresses"

// pool hands out addresses.
type pool struct {
	ranges []config.AddressRange
	taken  map[netip.Addr]string // by whom
}

// planPool gives every Service an address of its own in each of its families that the pool has.
func planPool(c Config, v view, mine []*core.Service) []verdict {
	p := pool{ranges: c.Pool, taken: map[netip.Addr]string{}}
	for _, n := range v.nodes {
		for _, ip := range append(ipsOf(n, core.NodeInternalIP), ipsOf(n, core.NodeExternalIP)...) {
			p.taken[ip] = "node " + n.Name
		}
	}
	inOrder(mine, func(s *core.Service) bool { return len(p.held(s)) > 0 })
	// What is held is set aside before anybody gets something new.
	for _, s := range mine {
		for _, ip := range p.held(s) {
			if _, there := p.taken[ip]; !there {
				p.taken[ip] = "Service " + key(s)
			}
		}
	}
	var verdicts []verdict
	for _, s := range mine {
		d := verdict{service: s, kind: wire.ServiceLBPool}
		d.addresses, d.refusal = p.give(s)
		if len(d.addresses) > 0 {
			d.announcers = announcers(s, serving(s, choose(s, v.nodes), v.endpoints[key(s)]))
		}
		verdicts = append(verdicts, d)
	}
	return verdicts
}

// held are the addresses of the pool that a Service has and still may have.
func (p pool) held(s *core.Service) []netip.Addr {
	wanted, _ := wanted(s)
	var all []netip.Addr
	for _, in := range s.Status.LoadBalancer.Ingress {
		ip, err := netip.ParseAddr(in.IP)
		if err != nil || !p.holds(ip) || !slices.Contains(s.Spec.IPFamilies, familyOf(ip)) {
			continue
		}
		if len(wanted) == 0 || slices.Contains(wanted, ip) {
			all = append(all, ip)
		}
	}
	return all
}

func (p pool) holds(ip netip.Addr) bool {
	return slices.ContainsFunc(p.ranges, func(r config.AddressRange) bool { return r.Contains(ip) })
}

// wanted are the addresses that a Service asks for; none for any.
func wanted(s *core.Service) ([]netip.Addr, *notice) {
	text := cmp.Or(s.Annotations[annotationWanted], s.Spec.LoadBalancerIP)
	if text == "" {
		return nil, nil
	}
	var all []netip.Addr
	for part := range strings.SplitSeq(text, ",") {
		ip, err := netip.ParseAddr(strings.TrimSpace(part))
		if err != nil || slices.ContainsFunc(all, func(other netip.Addr) bool { return other.Is4() == ip.Is4() }) {
			return nil, because("AddressInvalid", "%q is not an address, or one of each IP family, separated by a comma", text)
		}
		all = append(all, ip)
	}
	return all, nil
}

// give takes the addresses of one Service out of the pool.
func (p pool) give(s *core.Service) ([]netip.Addr, *notice) {
	asked, refusal := wanted(s)
	if refusal != nil {
		return nil, refusal
	}
	if len(asked) > 0 {
		return p.giveWanted(s, asked)
	}
	held := p.held(s)
	var got []netip.Addr
	for _, family := range s.Spec.IPFamilies {
		ip, found := p.next(s, family, held)
		if !found {
			continue
		}
		p.taken[ip] = "Service " + key(s)
		got = append(got, ip)
	}
	if len(got) == 0 {
		return nil, because("PoolExhausted", "no address of the pool is free for %v; add some to servicelb-pool, or delete a Service", s.Spec.IPFamilies)
	}
	return got, nil
}

// giveWanted gives exactly what is asked for, or nothing.
func (p pool) giveWanted(s *core.Service, asked []netip.Addr) ([]netip.Addr, *notice) {
	self := "Service " + key(s)
	for _, ip := range asked {
		switch owner := p.taken[ip]; {
		case !p.holds(ip):
			return nil, because("AddressOutsidePool", "address %s does not lie in servicelb-pool", ip)
		case !slices.Contains(s.Spec.IPFamilies, familyOf(ip)):
			return nil, because("AddressInvalid", "address %s is not of an IP family of the Service, %v", ip, s.Spec.IPFamilies)
		case owner != "" && owner != self:
			return nil, because("AddressTaken", "address %s belongs to %s; a Service has its address alone", ip, owner)
		}
	}
	for _, ip := range asked {
		p.taken[ip] = self
	}
	return asked, nil
}

// next is the address of a family that a Service has, or the first free one.
func (p pool) next(s *core.Service, family core.IPFamily, held []netip.Addr) (netip.Addr, bool) {
	self := "Service " + key(s)
	for _, ip := range held {
		if familyOf(ip) == family && p.taken[ip] == self {
			return ip, true
		}
	}
	for _, r := range p.ranges {
		if familyOf(r.First) != family {
			continue
		}
		for ip := r.First; r.Contains(ip); ip = ip.Next() {
			if p.taken[ip] == "" && usable(ip) {
				return ip, true
			}
		}
	}
	return netip.Addr{}, false
}

// usable leaves out what is a network's own or broadcast address in most networks, and what some devices take for one.
func usable(ip netip.Addr) bool {
	if ip.Is6() {
		host := ip.As16()
		return [8]byte(host[8:]) != [8]byte{} // all routers of a network have that one
	}
	last := ip.As4()[3]
	return last != 0 && last != 255
}

// manyAnnouncers bounds how many nodes stand by for an address.
const manyAnnouncers = 16

// announcers are the names of serving nodes. Those that are announcers stay, in their order, so that the list says nothing
// new while they serve.
func announcers(s *core.Service, nodes []*core.Node) []string {
	var free []string
	for _, n := range nodes {
		free = append(free, n.Name)
	}
	var chosen []string
	for name := range strings.SplitSeq(s.Annotations[wire.AnnotationAnnouncers], ",") {
		if i := slices.Index(free, name); i >= 0 {
			chosen = append(chosen, name)
			free = slices.Delete(free, i, i+1)
		}
	}
	if len(free) > 0 {
		start := int(spread(string(s.UID)) % uint32(len(free))) // so that not all Services begin at the same node
		free = slices.Concat(free[start:], free[:start])
	}
	chosen = append(chosen, free...)
	return chosen[:min(len(chosen), manyAnnouncers)]
}
