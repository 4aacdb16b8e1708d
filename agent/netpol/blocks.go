package netpol

import (
	"net/netip"
	"slices"

	networking "k8s.io/api/networking/v1"
	netutils "k8s.io/utils/net"

	"github.com/skerry-io/skerry/internal/fault"
)

// addresses is a range of addresses of one family, both ends included.
type addresses struct{ first, last netip.Addr }

// block gives the addresses of an ipBlock: those in its CIDR and in none of its exceptions. One that cannot be read has
// none, and so has one with an exception that cannot be read: more than what was meant must never pass.
func block(b *networking.IPBlock) ([]addresses, error) {
	whole, err := parseCIDR(b.CIDR)
	if err != nil {
		return nil, err
	}
	left := []addresses{whole}
	for _, text := range b.Except {
		hole, err := parseCIDR(text)
		if err != nil {
			return nil, err
		}
		var next []addresses
		for _, r := range left {
			next = append(next, r.without(hole)...)
		}
		left = next
	}
	return left, nil
}

// parseCIDR reads what the API server lets pass, which is more than netip does: leading zeros, bits behind the mask.
func parseCIDR(text string) (addresses, error) {
	_, parsed, err := netutils.ParseCIDRSloppy(text)
	if err != nil {
		return addresses{}, fault.New("%q is no range of addresses", text).Fix("write it as 192.0.2.0/24 or 2001:db8::/64")
	}
	ip, _ := netip.AddrFromSlice(parsed.IP)
	bits, _ := parsed.Mask.Size()
	if ip.Is4In6() {
		return addresses{}, fault.New("%q is an IPv4 range in IPv6 form, which no packet has", text).Fix("write it as 192.0.2.0/24")
	}
	return addresses{ip, last(netip.PrefixFrom(ip, bits))}, nil
}

// last is the highest address of a range.
func last(p netip.Prefix) netip.Addr {
	raw := p.Addr().AsSlice()
	for i := p.Bits(); i < len(raw)*8; i++ {
		raw[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(raw)
	return a
}

// without is what is left of r, in at most two pieces.
func (r addresses) without(hole addresses) []addresses {
	if r.first.BitLen() != hole.first.BitLen() || hole.last.Less(r.first) || r.last.Less(hole.first) {
		return []addresses{r}
	}
	var left []addresses
	if r.first.Less(hole.first) {
		left = append(left, addresses{r.first, hole.first.Prev()})
	}
	if hole.last.Less(r.last) {
		left = append(left, addresses{hole.last.Next(), r.last})
	}
	return left
}

func (r addresses) contains(a netip.Addr) bool {
	return a.BitLen() == r.first.BitLen() && !a.Less(r.first) && !r.last.Less(a)
}

func (r addresses) String() string {
	if r.first == r.last {
		return r.first.String()
	}
	return r.first.String() + "-" + r.last.String()
}

// joined sorts ranges of one family and joins those that overlap or touch: the kernel takes none that overlap.
func joined(ranges []addresses) []addresses {
	slices.SortFunc(ranges, func(a, b addresses) int { return a.first.Compare(b.first) })
	var all []addresses
	for _, r := range ranges {
		if n := len(all); n > 0 {
			if after := all[n-1].last.Next(); !after.IsValid() || !after.Less(r.first) {
				if all[n-1].last.Less(r.last) {
					all[n-1].last = r.last
				}
				continue
			}
		}
		all = append(all, r)
	}
	return all
}
