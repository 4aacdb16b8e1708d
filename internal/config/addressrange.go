package config

import (
	"errors"
	"net/netip"
	"strings"
)

// AddressRange is a range of IP addresses of one family, both ends included. The zero value is no range.
type AddressRange struct {
	First, Last netip.Addr
}

// UnmarshalText reads ADDRESS/BITS, FIRST-LAST, or one address.
func (r *AddressRange) UnmarshalText(text []byte) error {
	wrong := errors.New("is not a range of addresses; write FIRST-LAST or ADDRESS/BITS, for example 192.0.2.200-192.0.2.220")
	written := string(text)
	if prefix, err := netip.ParsePrefix(written); err == nil {
		*r = rangeOfPrefix(prefix)
		return nil
	}
	low, high, found := strings.Cut(written, "-")
	if !found {
		high = low
	}
	first, err := parseAddr(strings.TrimSpace(low))
	if err != nil {
		return wrong
	}
	last, err := parseAddr(strings.TrimSpace(high))
	if err != nil || last.Less(first) || first.Is4() != last.Is4() {
		return wrong
	}
	*r = AddressRange{First: first, Last: last}
	return nil
}

// lastOf is the highest address of a prefix.
func lastOf(prefix netip.Prefix) netip.Addr {
	bytes := prefix.Masked().Addr().AsSlice()
	for bit := prefix.Bits(); bit < len(bytes)*8; bit++ {
		bytes[bit/8] |= 0x80 >> (bit % 8)
	}
	addr, _ := netip.AddrFromSlice(bytes)
	return addr
}

// Contains reports whether addr is in the range.
func (r AddressRange) Contains(addr netip.Addr) bool {
	return r.First.Is4() == addr.Is4() && !addr.Less(r.First) && !r.Last.Less(addr)
}

// Overlaps reports whether the ranges have an address in common.
func (r AddressRange) Overlaps(other AddressRange) bool {
	return r.First.Is4() == other.First.Is4() && !r.Last.Less(other.First) && !other.Last.Less(r.First)
}

// String is FIRST-LAST.
func (r AddressRange) String() string { return r.First.String() + "-" + r.Last.String() }

// MarshalText is String, for encoders.
func (r AddressRange) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// rangeOfPrefix is a CIDR as a range.
func rangeOfPrefix(prefix netip.Prefix) AddressRange {
	return AddressRange{First: prefix.Masked().Addr(), Last: lastOf(prefix)}
}
