package testhost

import (
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"

	"github.com/vishvananda/netlink"
)

// router stands between one host and the bridge and hides the host behind its own address. It has a network namespace
// and nothing else, and it keeps running through the host's power cuts.
type router struct {
	outside netip.Prefix
	space   namespaces
	handle  *netlink.Handle
}

// routerRules hide the host, and let in only what belongs to a connection that was opened from inside.
const routerRules = `
table ip skt-nat {
	chain hide {
		type nat hook postrouting priority srcnat;
		oifname "wan" masquerade
	}
	chain pass {
		type filter hook forward priority filter;
		iifname "wan" ct state != { established, related } drop
	}
	chain enter {
		type filter hook input priority filter;
		iifname "wan" ct state != { established, related } drop
	}
}
`

func (r *router) gateway() netip.Prefix { return netip.MustParsePrefix("192.168.77.1/24") }

// inside is the same behind every router: homes are alike.
func (r *router) inside() netip.Prefix { return netip.MustParsePrefix("192.168.77.10/24") }

// connect switches the router on, when it is not, and plugs the host in.
func (r *router) connect(h *Host) error {
	if r.handle == nil {
		if err := r.start(h); err != nil {
			return fmt.Errorf("start the router: %w", err)
		}
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "lan"
	if err := r.handle.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "eth0", PeerHardwareAddr: h.hardware(), PeerNamespace: netlink.NsPid(h.Pid())}); err != nil {
		return err
	}
	lan, err := r.handle.LinkByName("lan")
	if err != nil {
		return err
	}
	return errors.Join(addAddress(r.handle, lan, r.gateway()), up(r.handle, "lan"))
}

func (r *router) disconnect() error {
	if r.handle == nil {
		return nil
	}
	return unlink(r.handle, "lan")
}

func (r *router) start(h *Host) error {
	var err error
	if r.space, err = newNetwork("1"); err != nil {
		return err
	}
	if err := r.space.nft(routerRules); err != nil {
		return err
	}
	if r.handle, err = netlink.NewHandleAt(r.space.net()); err != nil {
		return fmt.Errorf("open netlink: %w", err)
	}
	if err := h.lab.net.cable(h.port(), "wan", h.hardware(), r.space); err != nil {
		return fmt.Errorf("add the cable outside: %w", err)
	}
	wan, err := r.handle.LinkByName("wan")
	if err != nil {
		return fmt.Errorf("find the cable outside: %w", err)
	}
	return errors.Join(up(r.handle, "lo"), up(r.handle, "wan"), addAddress(r.handle, wan, r.outside),
		addDefault(r.handle, wan, netip.MustParsePrefix(bridgeAddress).Addr()))
}

// close ends the router; nil is no router.
func (r *router) close() {
	if r == nil || r.handle == nil {
		return
	}
	r.handle.Close()
	r.space.close()
}

// nft runs the machine's nft with these commands in the network namespace.
func (n namespaces) nft(commands string) error {
	return onOwnThread(func() error {
		if err := n.enter(); err != nil {
			return err
		}
		run := exec.Command("nft", "-f", "-")
		run.Stdin = strings.NewReader(commands)
		if out, err := run.CombinedOutput(); err != nil {
			return fmt.Errorf("nft (the machine needs it for closed ports and routers): %w: %s", err, out)
		}
		return nil
	})
}

// Outside is the address that others see the host by: its router's, or its own when it is behind none.
func (h *Host) Outside() string {
	if h.router == nil {
		return h.Address()
	}
	return h.router.outside.Addr().String()
}

// CloseInbound lets nothing in by the host's cable that does not belong to a connection the host has opened: no TCP, no
// UDP, and nothing that would be passed on to a pod. It ends with the host's power.
func (h *Host) CloseInbound() {
	h.lab.t.Helper()
	h.lab.must(h.power.net.nft(`
table inet skt-wall {
	chain prerouting {
		type filter hook prerouting priority -150; # after connections are tracked, before their addresses are changed
		meta l4proto ipv6-icmp accept
		iifname "eth0" ct state != { established, related } drop
	}
}
`), "close "+h.name)
}

// OpenInbound undoes CloseInbound.
func (h *Host) OpenInbound() {
	h.lab.t.Helper()
	h.lab.must(h.power.net.nft("delete table inet skt-wall\n"), "open "+h.name)
}
