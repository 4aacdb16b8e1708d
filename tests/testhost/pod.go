package testhost

import (
	"context"
	"net"
	"os"
	"path/filepath"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Pod is the network of a pod on a host; the test opens sockets in it, as a program of the pod would.
type Pod struct {
	host  *Host
	space namespaces
}

// Pod finds the pod by its IPv4 address, which a process of it must have. It is valid until the test ends.
func (h *Host) Pod(address string) Pod {
	h.lab.t.Helper()
	files, _ := filepath.Glob(h.Root() + "/proc/[0-9]*/ns/net")
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			continue // a process that just ended
		}
		space := namespaces{{f, unix.CLONE_NEWNET}}
		if space.has(address) {
			h.lab.t.Cleanup(space.close)
			return Pod{h, space}
		}
		space.close()
	}
	h.lab.t.Fatalf("host %s has no pod with the address %s", h.name, address)
	return Pod{}
}

// Dial connects from inside the pod. The address must be an IP address.
func (p Pod) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return p.space.dial(ctx, network, address)
}

// Listen opens a TCP port of the pod.
func (p Pod) Listen(address string) net.Listener {
	p.host.lab.t.Helper()
	return inside(p.host, p.space, func() (net.Listener, error) { return net.Listen("tcp", address) })
}

func (n namespaces) has(address string) bool {
	found := false
	_ = onOwnThread(func() error {
		if err := n.enter(); err != nil {
			return err
		}
		all, err := netlink.AddrList(nil, netlink.FAMILY_V4)
		for _, a := range all {
			found = found || a.IP.String() == address
		}
		return err
	})
	return found
}
