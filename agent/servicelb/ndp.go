package servicelb

import (
	"encoding/binary"
	"net"

	"golang.org/x/sys/unix"
)

// ndp is the talk about an IPv6 address (RFC 4861; questions as in RFC 4862).
type ndp struct {
	ip  [16]byte
	own net.HardwareAddr
}

const (
	ipv6Header    = 40
	ipv6Next      = 6
	solicitation  = 135
	advertisement = 136
	ndpTarget     = ipv6Header + 8
	ndpLength     = ndpTarget + 16
)

func (n ndp) etherType() uint16 { return unix.ETH_P_IPV6 }

// filter passes advertisements of the address.
func (n ndp) filter() []unix.SockFilter {
	type check struct {
		size, at, want uint32
	}
	checks := []check{{unix.BPF_B, ipv6Next, unix.IPPROTO_ICMPV6}, {unix.BPF_B, ipv6Header, advertisement}}
	for i := uint32(0); i < 16; i += 4 {
		checks = append(checks, check{unix.BPF_W, ndpTarget + i, binary.BigEndian.Uint32(n.ip[i:])})
	}
	var program []unix.SockFilter
	for i, c := range checks {
		rest := uint8(2*(len(checks)-i) - 1) // over the other checks and the acceptance
		program = append(program,
			unix.SockFilter{Code: uint16(unix.BPF_LD | c.size | unix.BPF_ABS), K: c.at},
			unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: c.want, Jf: rest})
	}
	return append(program, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: 1 << 16}, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K})
}

// question is a solicitation from nowhere, as a host sends that wants to know whether an address is free.
func (n ndp) question() packet {
	to := [16]byte{0xff, 2, 11: 1, 12: 0xff, 13: n.ip[13], 14: n.ip[14], 15: n.ip[15]}
	return n.packet([16]byte{}, to, append([]byte{solicitation, 0, 0, 0, 0, 0, 0, 0}, n.ip[:]...))
}

// announcement is an advertisement that nobody asked for: what hosts know of the address is corrected.
func (n ndp) announcement() packet {
	const override, targetAddress = 0x20, 2
	message := append([]byte{advertisement, 0, 0, 0, override, 0, 0, 0}, n.ip[:]...)
	message = append(message, targetAddress, 1) // in units of eight bytes
	return n.packet(n.ip, [16]byte{0xff, 2, 15: 1}, append(message, n.own...))
}

// packet puts the headers before a message. Neighbours believe only what no router has passed on.
func (n ndp) packet(from, to [16]byte, message []byte) packet {
	const version, hops = 0x60, 255
	binary.BigEndian.PutUint16(message[2:], checksum(from, to, message))
	body := []byte{version, 0, 0, 0, 0, byte(len(message)), unix.IPPROTO_ICMPV6, hops}
	body = append(append(append(body, from[:]...), to[:]...), message...)
	return packet{to: net.HardwareAddr{0x33, 0x33, to[12], to[13], to[14], to[15]}, body: body}
}

// checksum is that of ICMPv6, over the message and what of the header belongs to it. The message's own field is zero.
func checksum(from, to [16]byte, message []byte) uint16 {
	sum := uint32(len(message)) + unix.IPPROTO_ICMPV6
	for _, part := range [][]byte{from[:], to[:], message} {
		for i := 0; i < len(part); i += 2 {
			sum += uint32(binary.BigEndian.Uint16(part[i:]))
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

func (n ndp) claimant(body []byte, from net.HardwareAddr) net.HardwareAddr {
	if len(body) < ndpLength || body[ipv6Header] != advertisement || [16]byte(body[ndpTarget:]) != n.ip {
		return nil
	}
	return append(net.HardwareAddr{}, from...)
}
