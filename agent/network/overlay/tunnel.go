package overlay

import (
	"errors"
	"fmt"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/wgctrl"
	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"

	"github.com/skerry-io/skerry/internal/host"
)

// openTunnel adopts or makes the interface: one of the kernel's where it has WireGuard, else one of this process.
func openTunnel(c Config, mtu int) (tunnel, error) {
	if err := c.Apply(host.Link{Name: wireGuardName}); err != nil { // of which type, the kernel decides
		return nil, err
	}
	have, err := findLink(wireGuardName)
	if err != nil {
		return nil, err
	}
	if have == nil {
		err := netlink.LinkAdd(&netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Name: wireGuardName, MTU: mtu}, LinkType: "wireguard"})
		if errors.Is(err, unix.EOPNOTSUPP) {
			return openUser(c.Log, mtu)
		}
		if err != nil {
			return nil, fmt.Errorf("make interface %s: %w", wireGuardName, err)
		}
	} else if have.Type() != "wireguard" {
		return openUser(c.Log, mtu)
	}
	client, err := wgctrl.New()
	if err != nil {
		return nil, fmt.Errorf("reach the kernel's WireGuard: %w", err)
	}
	return kernelTunnel{client}, nil
}

// kernelTunnel goes on by itself when this process ends.
type kernelTunnel struct{ client *wgctrl.Client }

func (k kernelTunnel) configure(c wgtypes.Config) error {
	return k.client.ConfigureDevice(wireGuardName, c)
}

func (k kernelTunnel) peers() (map[wgtypes.Key]time.Time, error) {
	device, err := k.client.Device(wireGuardName)
	if err != nil {
		return nil, fmt.Errorf("ask the kernel's WireGuard for its peers: %w", err)
	}
	peers := map[wgtypes.Key]time.Time{}
	for _, p := range device.Peers {
		peers[p.PublicKey] = p.LastHandshakeTime
	}
	return peers, nil
}

func (k kernelTunnel) close() error { return k.client.Close() }
