package servicelb

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// hardwareLength is the length of an Ethernet address.
const hardwareLength = 6

// errDead says that packets are no longer heard, as when the interface is gone.
var errDead = errors.New("the network interface can no longer be listened to")

// protocol is how hosts of a network talk about an address.
type protocol interface {
	etherType() uint16
	filter() []unix.SockFilter // of packets that may say that someone has the address
	question() packet
	announcement() packet
	// claimant reads who says in a packet that the address is its own; nil when nobody does.
	claimant(body []byte, from net.HardwareAddr) net.HardwareAddr
}

// packet is what is sent, without its Ethernet header.
type packet struct {
	to   net.HardwareAddr
	body []byte
}

// socket is a line over a socket for packets. The kernel passes on only what is about the address.
type socket struct {
	protocol
	own     net.HardwareAddr
	index   int
	file    *os.File
	raw     syscall.RawConn
	claims  chan string
	stopped chan struct{}
	reading sync.WaitGroup
}

// dial opens a line about an address on an interface.
func dial(ip netip.Addr, index int, own net.HardwareAddr) (line, error) {
	s := &socket{protocol: speak(ip, own), own: own, index: index, claims: make(chan string, 1), stopped: make(chan struct{})}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open a packet socket: %w", err)
	}
	if err := s.bind(fd); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	s.file = os.NewFile(uintptr(fd), "packet")
	if s.raw, err = s.file.SyscallConn(); err != nil {
		return nil, errors.Join(err, s.file.Close())
	}
	s.reading.Go(s.read)
	return s, nil
}

func speak(ip netip.Addr, own net.HardwareAddr) protocol {
	if ip.Is4() {
		return arp{ip: ip.As4(), own: own}
	}
	return ndp{ip: ip.As16(), own: own}
}

// bind sets the filter before the first packet can come.
func (s *socket) bind(fd int) error {
	program := s.filter()
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}); err != nil {
		return fmt.Errorf("filter packets: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: networkOrder(s.etherType()), Ifindex: s.index}); err != nil {
		return fmt.Errorf("bind the packet socket: %w", err)
	}
	return nil
}

// networkOrder is a number as the kernel wants it in addresses of packet sockets.
func networkOrder(n uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, n))
}

// read passes claims of others on until the line is closed or dead.
func (s *socket) read() {
	defer close(s.claims)
	buffer := make([]byte, 256)
	for {
		var n int
		var from unix.Sockaddr
		var failed error
		err := s.raw.Read(func(fd uintptr) bool {
			n, from, failed = unix.Recvfrom(int(fd), buffer, 0)
			return !errors.Is(failed, unix.EAGAIN) && !errors.Is(failed, unix.EINTR)
		})
		if err != nil || failed != nil {
			return
		}
		link, ok := from.(*unix.SockaddrLinklayer)
		if !ok || link.Halen != hardwareLength {
			continue
		}
		who := s.claimant(buffer[:n], net.HardwareAddr(link.Addr[:hardwareLength]))
		if who == nil || who.String() == s.own.String() {
			continue
		}
		select {
		case s.claims <- who.String():
		case <-s.stopped:
			return
		}
	}
}

func (s *socket) send(p packet) error {
	to := &unix.SockaddrLinklayer{Protocol: networkOrder(s.etherType()), Ifindex: s.index, Halen: hardwareLength}
	copy(to.Addr[:], p.to)
	var failed error
	err := s.raw.Write(func(fd uintptr) bool {
		failed = unix.Sendto(int(fd), p.body, 0, to)
		return !errors.Is(failed, unix.EAGAIN)
	})
	if err = errors.Join(err, failed); err != nil {
		return fmt.Errorf("send a packet: %w", err)
	}
	return nil
}

func (s *socket) ask() error           { return s.send(s.question()) }
func (s *socket) announce() error      { return s.send(s.announcement()) }
func (s *socket) heard() <-chan string { return s.claims }

func (s *socket) close() {
	close(s.stopped)
	_ = s.file.Close() // ends a read
	s.reading.Wait()
}
