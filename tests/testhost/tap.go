package testhost

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"sync"

	"golang.org/x/sys/unix"
)

// Tap listens at the bridge's end of a host's cable and keeps the packets whose source or destination is in its ranges.
type Tap struct {
	fd     int
	ranges []netip.Prefix
	stop   chan struct{}
	done   chan struct{}

	mu   sync.Mutex // guards seen
	seen []string
}

// Tap starts listening for IPv4 packets from or to the given ranges ("10.42.0.0/16"); it ends with the test.
// A power cut ends it too: make another one after the boot.
func (h *Host) Tap(ranges ...string) *Tap {
	h.lab.t.Helper()
	tap := &Tap{stop: make(chan struct{}), done: make(chan struct{})}
	for _, text := range ranges {
		r, err := netip.ParsePrefix(text)
		h.lab.must(err, "read the range")
		tap.ranges = append(tap.ranges, r)
	}
	link, err := h.lab.net.handle.LinkByName(h.port())
	h.lab.must(err, "find the cable of "+h.name)
	h.lab.must(onOwnThread(func() error {
		if err := h.lab.net.space.enter(); err != nil {
			return err
		}
		return tap.open(link.Attrs().Index)
	}), "listen at the cable of "+h.name)
	go tap.listen()
	h.lab.t.Cleanup(func() {
		close(tap.stop)
		<-tap.done
		unix.Close(tap.fd)
	})
	return tap
}

// Seen lists the packets as "source > destination", each pair once.
func (t *Tap) Seen() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]string(nil), t.seen...)
}

func (t *Tap) open(link int) error {
	everything := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ALL))
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, int(everything))
	if err != nil {
		return fmt.Errorf("open a packet socket: %w", err)
	}
	t.fd = fd
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: everything, Ifindex: link}); err != nil {
		return fmt.Errorf("bind the packet socket: %w", err)
	}
	return unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 100_000})
}

func (t *Tap) listen() {
	defer close(t.done)
	packet := make([]byte, 2048)
	for {
		select {
		case <-t.stop:
			return
		default:
		}
		n, from, err := unix.Recvfrom(t.fd, packet, 0)
		if link, ok := from.(*unix.SockaddrLinklayer); err == nil && ok && link.Pkttype != unix.PACKET_OUTGOING {
			t.look(packet[:n])
		}
	}
}

func (t *Tap) look(packet []byte) {
	if len(packet) < 20 || packet[0]>>4 != 4 {
		return
	}
	from, to := netip.AddrFrom4([4]byte(packet[12:16])), netip.AddrFrom4([4]byte(packet[16:20]))
	for _, r := range t.ranges {
		if r.Contains(from) || r.Contains(to) {
			t.note(fmt.Sprintf("%s > %s", from, to))
			return
		}
	}
}

func (t *Tap) note(pair string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, known := range t.seen {
		if known == pair {
			return
		}
	}
	t.seen = append(t.seen, pair)
}
