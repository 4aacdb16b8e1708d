package testhost

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"runtime"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

const (
	bridgeName     = "br0"
	bridgeAddress  = "10.200.0.1/24"
	bridgeAddress6 = "fd00:200::1/64"
)

// bridge is the network namespace between the hosts. It has no other link, so nothing leaves it, and it needs no name:
// it is gone with the last file that holds it open.
type bridge struct {
	space  namespaces
	handle *netlink.Handle
	link   netlink.Link
}

func newBridge() (*bridge, error) {
	space, err := newNetwork("0")
	if err != nil {
		return nil, err
	}
	b := &bridge{space: space}
	if b.handle, err = netlink.NewHandleAt(b.space.net()); err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = bridgeName
	b.link = &netlink.Bridge{LinkAttrs: attrs}
	if err := b.handle.LinkAdd(b.link); err != nil {
		return nil, fmt.Errorf("add the bridge: %w", err)
	}
	return b, errors.Join(up(b.handle, "lo"), up(b.handle, bridgeName),
		addAddress(b.handle, b.link, netip.MustParsePrefix(bridgeAddress)), addAddress(b.handle, b.link, netip.MustParsePrefix(bridgeAddress6)))
}

// newNetwork makes a network namespace; forward is "1" when packets may pass through it.
func newNetwork(forward string) (namespaces, error) {
	var space namespaces
	err := onOwnThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("make a network namespace: %w", err)
		}
		f, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			return fmt.Errorf("open the network namespace: %w", err)
		}
		space = namespaces{{f, unix.CLONE_NEWNET}}
		return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte(forward), 0o644)
	})
	return space, err
}

func (n namespaces) net() netns.NsHandle {
	for _, one := range n {
		if one.kind == unix.CLONE_NEWNET {
			return netns.NsHandle(one.file.Fd())
		}
	}
	return netns.None()
}

func (b *bridge) close() {
	b.handle.Close()
	b.space.close()
}

// carrier waits until eth0 may carry packets, which the kernel says a moment after both ends are up.
func carrier(inside *netlink.Handle) error {
	for range 200 {
		if link, err := inside.LinkByName("eth0"); err == nil && link.Attrs().OperState == netlink.OperUp {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return errors.New("eth0 does not come up")
}

// port is the bridge's end of the host's cable.
func (h *Host) port() string { return fmt.Sprintf("port%d", h.number) }

// Unplug pulls the host's network cable; its addresses and routes to the pod network stay.
func (h *Host) Unplug() { h.lab.t.Helper(); h.cable(false) }

// Plug puts the cable back.
func (h *Host) Plug() { h.lab.t.Helper(); h.cable(true) }

func (h *Host) cable(in bool) {
	h.lab.t.Helper()
	link, err := h.lab.net.handle.LinkByName(h.port())
	h.lab.must(err, "find the cable of "+h.name)
	if in {
		err = h.lab.net.handle.LinkSetUp(link)
	} else {
		err = h.lab.net.handle.LinkSetDown(link)
	}
	h.lab.must(err, "move the cable of "+h.name)
}

// Cut lets two hosts no longer reach each other, while both still reach hosts that are not cut from anything.
func (l *Lab) Cut(a, b *Host) { l.t.Helper(); l.isolate(true, a, b) }

// Mend undoes Cut.
func (l *Lab) Mend(a, b *Host) { l.t.Helper(); l.isolate(false, a, b) }

func (l *Lab) isolate(on bool, hosts ...*Host) {
	l.t.Helper()
	for _, h := range hosts {
		link, err := l.net.handle.LinkByName(h.port())
		l.must(err, "find the cable of "+h.name)
		l.must(l.net.handle.LinkSetIsolated(link, on), "isolate "+h.name)
	}
}

// Dial connects from inside the host, for example to its own 127.0.0.1. The address must be an IP address.
func (h *Host) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	if !h.Up() {
		return nil, fmt.Errorf("dial %s: host %s is off", address, h.name)
	}
	return h.power.net.dial(ctx, network, address)
}

// Dial connects from the bridge, as a machine beside the hosts would.
func (l *Lab) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return l.net.space.dial(ctx, network, address)
}

// Listen opens a TCP port of the host that the test itself serves, for example to be in a product's way. The address
// must be an IP address.
func (h *Host) Listen(address string) net.Listener {
	h.lab.t.Helper()
	return inside(h, h.power.net, func() (net.Listener, error) { return net.Listen("tcp", address) })
}

// ListenPacket is Listen for UDP.
func (h *Host) ListenPacket(address string) net.PacketConn {
	h.lab.t.Helper()
	return inside(h, h.power.net, func() (net.PacketConn, error) { return net.ListenPacket("udp", address) })
}

// inside opens a socket in a network namespace of the host.
func inside[T any](h *Host, space namespaces, open func() (T, error)) (socket T) {
	h.lab.t.Helper()
	h.lab.must(onOwnThread(func() error {
		if err := space.enter(); err != nil {
			return err
		}
		var err error
		socket, err = open()
		return err
	}), "listen in host "+h.name)
	return socket
}

// HTTP is a client inside the host that opens a new connection for each request.
func (h *Host) HTTP() *http.Client { return client(h.Dial) }

// HTTP is a client on the bridge that opens a new connection for each request.
func (l *Lab) HTTP() *http.Client { return client(l.Dial) }

func client(dial func(ctx context.Context, network, address string) (net.Conn, error)) *http.Client {
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
}

// dial makes the socket on a thread that is in the network namespace; a socket stays where it was made.
func (n namespaces) dial(ctx context.Context, network, address string) (net.Conn, error) {
	var conn net.Conn
	err := onOwnThread(func() error {
		if err := n.enter(); err != nil {
			return err
		}
		var err error
		conn, err = (&net.Dialer{Timeout: 5 * time.Second, FallbackDelay: -1}).DialContext(ctx, network, address)
		return err
	})
	runtime.KeepAlive(n)
	return conn, err
}

func up(h *netlink.Handle, name string) error {
	link, err := h.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find %s: %w", name, err)
	}
	return h.LinkSetUp(link)
}
