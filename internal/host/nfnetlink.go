package host

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// The few words of nf_tables' netlink language that are needed to see and delete a table, and to ask which expressions
// a kernel has. Spoken directly, so that reset needs no program.

// nfFamily gives the number of an nftables family.
func nfFamily(name string) (byte, error) {
	switch name {
	case "ip":
		return unix.NFPROTO_IPV4, nil
	case "ip6":
		return unix.NFPROTO_IPV6, nil
	case "inet":
		return unix.NFPROTO_INET, nil
	case "bridge":
		return unix.NFPROTO_BRIDGE, nil
	case "netdev":
		return unix.NFPROTO_NETDEV, nil
	case "arp":
		return unix.NFPROTO_ARP, nil
	}
	return 0, fmt.Errorf("unknown nftables family %q", name)
}

// nfMessage is one message; attrs are encoded by nfAttr.
type nfMessage struct {
	kind   int // unix.NFT_MSG_*
	flags  uint16
	family byte
	attrs  []byte
}

// nfAttr encodes one attribute, padded to four bytes.
func nfAttr(kind uint16, value []byte) []byte {
	out := binary.NativeEndian.AppendUint16(nil, uint16(4+len(value)))
	out = binary.NativeEndian.AppendUint16(out, kind)
	out = append(out, value...)
	return append(out, make([]byte, (4-len(out)%4)%4)...)
}

func nfString(kind uint16, s string) []byte { return nfAttr(kind, append([]byte(s), 0)) }

func nfNested(kind uint16, inner []byte) []byte { return nfAttr(kind|unix.NLA_F_NESTED, inner) }

func nfNumber(kind uint16, n uint32) []byte {
	return nfAttr(kind, binary.BigEndian.AppendUint32(nil, n))
}

// encode gives the message as it goes over the socket.
func (m nfMessage) encode(seq uint32) []byte {
	return nlMessage(uint16(unix.NFNL_SUBSYS_NFTABLES<<8|m.kind), m.flags|unix.NLM_F_REQUEST, seq, m.family, 0, m.attrs)
}

func nlMessage(kind, flags uint16, seq uint32, family byte, resource uint16, attrs []byte) []byte {
	out := binary.NativeEndian.AppendUint32(nil, uint32(unix.NLMSG_HDRLEN+4+len(attrs)))
	out = binary.NativeEndian.AppendUint16(out, kind)
	out = binary.NativeEndian.AppendUint16(out, flags)
	out = binary.NativeEndian.AppendUint32(out, seq)
	out = binary.NativeEndian.AppendUint32(out, 0)
	out = append(out, family, unix.NFNETLINK_V0)
	out = binary.BigEndian.AppendUint16(out, resource)
	return append(out, attrs...)
}

// nfBatch sends messages as one transaction and gives the first error the kernel answers. The last message must
// ask for an acknowledgement (NLM_F_ACK).
func nfBatch(messages ...nfMessage) error {
	var out []byte
	out = append(out, nlMessage(unix.NFNL_MSG_BATCH_BEGIN, unix.NLM_F_REQUEST, 0, 0, unix.NFNL_SUBSYS_NFTABLES, nil)...)
	for i, m := range messages {
		out = append(out, m.encode(uint32(i+1))...)
	}
	end := uint32(len(messages) + 1)
	out = append(out, nlMessage(unix.NFNL_MSG_BATCH_END, unix.NLM_F_REQUEST, end, 0, unix.NFNL_SUBSYS_NFTABLES, nil)...)
	return nfSend(out, uint32(len(messages)))
}

// nfAsk sends one message outside a transaction.
func nfAsk(m nfMessage) error { return nfSend(m.encode(1), 1) }

// nfSend writes the bytes and reads until an error, or an answer to the message numbered last.
func nfSend(out []byte, last uint32) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return os.NewSyscallError("netlink socket", err)
	}
	defer func() { _ = unix.Close(fd) }() // nothing was written that a close could lose
	timeout := unix.Timeval{Sec: 5}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		return os.NewSyscallError("netlink timeout", err)
	}
	if err := unix.Sendto(fd, out, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return os.NewSyscallError("netlink send", err)
	}
	buf := make([]byte, 64<<10)
	for {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return os.NewSyscallError("netlink receive", err)
		}
		if done, err := nfAnswer(buf[:n], last); done || err != nil {
			return err
		}
	}
}

// nfAnswer reads the kernel's messages: an error, an acknowledgement of the message numbered last, or its data.
func nfAnswer(in []byte, last uint32) (done bool, err error) {
	for len(in) >= unix.NLMSG_HDRLEN {
		size := int(binary.NativeEndian.Uint32(in))
		if size < unix.NLMSG_HDRLEN || size > len(in) {
			return false, errors.New("netlink: torn answer")
		}
		kind, seq := binary.NativeEndian.Uint16(in[4:]), binary.NativeEndian.Uint32(in[8:])
		if kind == unix.NLMSG_ERROR && size >= unix.NLMSG_HDRLEN+4 {
			if code := int32(binary.NativeEndian.Uint32(in[unix.NLMSG_HDRLEN:])); code != 0 {
				return true, unix.Errno(-code)
			}
		}
		done = done || seq == last
		in = in[min(len(in), (size+3)&^3):]
	}
	return done, nil
}
