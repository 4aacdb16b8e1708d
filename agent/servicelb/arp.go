package servicelb

import (
	"encoding/binary"
	"net"

	"golang.org/x/sys/unix"
)

// arp is the talk about an IPv4 address (RFC 826; questions and announcements as in RFC 5227).
type arp struct {
	ip  [4]byte
	own net.HardwareAddr
}

// Where the fields of an ARP packet for IPv4 over Ethernet are.
const (
	arpSender   = 8
	arpSenderIP = 14
	arpLength   = 28
)

func (a arp) etherType() uint16 { return unix.ETH_P_ARP }

// filter passes packets whose sender calls the address its own.
func (a arp) filter() []unix.SockFilter {
	return []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: arpSenderIP},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: binary.BigEndian.Uint32(a.ip[:]), Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: 1 << 16},
		{Code: unix.BPF_RET | unix.BPF_K},
	}
}

// question has no sender's IP, so that nobody learns an address from it.
func (a arp) question() packet { return a.request([4]byte{}) }

// announcement asks for the address as the one who has it: what hosts know of it is corrected.
func (a arp) announcement() packet { return a.request(a.ip) }

func (a arp) request(sender [4]byte) packet {
	body := []byte{0, 1, 8, 0, hardwareLength, 4, 0, 1} // Ethernet, IPv4, request
	body = append(append(body, a.own...), sender[:]...)
	body = append(append(body, make([]byte, hardwareLength)...), a.ip[:]...)
	return packet{to: net.HardwareAddr{255, 255, 255, 255, 255, 255}, body: body}
}

func (a arp) claimant(body []byte, _ net.HardwareAddr) net.HardwareAddr {
	if len(body) < arpLength || [4]byte(body[:4]) != [4]byte{0, 1, 8, 0} || [4]byte(body[arpSenderIP:]) != a.ip {
		return nil
	}
	return append(net.HardwareAddr{}, body[arpSender:arpSenderIP]...)
}
