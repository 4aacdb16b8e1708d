package testhost

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

const (
	bridgeName    = "br0"
	bridgeAddress = "10.200.0.1/24"
)

// bridge is the network namespace between the hosts. It has no other link, so nothing leaves it, and it needs no name:
// it is gone with the last file that holds it open.
type bridge struct {
	space  namespaces
	handle *netlink.Handle
	link   netlink.Link
}

func newBridge() (*bridge, error) {
	b := &bridge{}
	err := onOwnThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("make a network namespace: %w", err)
		}
		f, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			return fmt.Errorf("open the network namespace: %w", err)
		}
		b.space = namespaces{{f, unix.CLONE_NEWNET}}
		return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("0"), 0o644)
	})
	if err != nil {
		return nil, err
	}
	if b.handle, err = netlink.NewHandleAt(b.space.net()); err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = bridgeName
	b.link = &netlink.Bridge{LinkAttrs: attrs}
	if err := b.handle.LinkAdd(b.link); err != nil {
		return nil, fmt.Errorf("add the bridge: %w", err)
	}
	return b, errors.Join(up(b.handle, "lo"), b.handle.AddrAdd(b.link, mustAddr(bridgeAddress)), up(b.handle, bridgeName))
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

// connect gives a booted host its cable, address and routes.
func (b *bridge) connect(h *Host) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = h.port()
	attrs.MasterIndex = b.link.Attrs().Index
	err := b.handle.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "eth0", PeerNamespace: netlink.NsPid(h.Pid())})
	if err != nil {
		return fmt.Errorf("add the cable: %w", err)
	}
	inside, err := netlink.NewHandleAt(h.power.net.net())
	if err != nil {
		return fmt.Errorf("open netlink: %w", err)
	}
	defer inside.Close()
	eth0, err := inside.LinkByName("eth0")
	if err != nil {
		return fmt.Errorf("find eth0: %w", err)
	}
	err = errors.Join(up(b.handle, h.port()), up(inside, "lo"), inside.AddrAdd(eth0, mustAddr(h.Address()+"/24")), up(inside, "eth0"))
	if err != nil {
		return fmt.Errorf("set up the network: %w", err)
	}
	return errors.Join(h.addRoutes(inside, eth0), carrier(inside))
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

func (h *Host) addRoutes(inside *netlink.Handle, eth0 netlink.Link) error {
	var errs []error
	if h.defaultRoute {
		everything := mustAddr("0.0.0.0/0").IPNet
		gateway := mustAddr(bridgeAddress).IP
		errs = append(errs, inside.RouteAdd(&netlink.Route{Dst: everything, Gw: gateway, LinkIndex: eth0.Attrs().Index}))
	}
	for _, cidr := range h.blackholes { // behind any route that the product makes
		errs = append(errs, inside.RouteAdd(&netlink.Route{Dst: mustAddr(cidr).IPNet, Type: unix.RTN_BLACKHOLE, Priority: 4000}))
	}
	return errors.Join(errs...)
}

// disconnect removes the cable at once: the kernel would remove it some time after the host's end.
func (b *bridge) disconnect(h *Host) error {
	link, err := b.handle.LinkByName(h.port())
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("find the cable: %w", err)
	}
	if err := b.handle.LinkDel(link); err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("remove the cable: %w", err)
	}
	return nil
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
	var listener net.Listener
	h.lab.must(onOwnThread(func() error {
		if err := h.power.net.enter(); err != nil {
			return err
		}
		var err error
		listener, err = net.Listen("tcp", address)
		return err
	}), "listen in host "+h.name)
	return listener
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

// mustAddr reads addresses that this package writes itself.
func mustAddr(text string) *netlink.Addr {
	ip, network, err := net.ParseCIDR(text)
	if err != nil {
		return &netlink.Addr{}
	}
	return &netlink.Addr{IPNet: &net.IPNet{IP: ip, Mask: network.Mask}}
}
