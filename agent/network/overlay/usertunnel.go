package overlay

import (
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/tun"
	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"

	"github.com/skerry-io/skerry/internal/fault"
)

// userTunnel is WireGuard in this process, for kernels without it. Its interface stays when the process ends: routes and
// connections of pods outlive a restart, and what is sent meanwhile is sent again by its sender.
type userTunnel struct {
	device *device.Device
	known  map[wgtypes.Key]bool
}

func openUser(log *slog.Logger, mtu int) (tunnel, error) {
	nic, err := openTUN(mtu)
	if err != nil {
		return nil, fault.New("make the interface %s of WireGuard in user space", wireGuardName).Because(err).
			Fix("see that the kernel has tun (modprobe tun) and that /dev/net/tun is there, or set flannel-backend to vxlan")
	}
	log.Info("this kernel has no WireGuard: skerry does its work, which costs more of the processor")
	logger := &device.Logger{
		Verbosef: device.DiscardLogf,
		Errorf:   func(format string, args ...any) { log.Debug("wireguard", "err", fmt.Sprintf(format, args...)) },
	}
	d := device.NewDevice(nic, conn.NewDefaultBind(), logger)
	return &userTunnel{device: d, known: map[wgtypes.Key]bool{}}, nil
}

// openTUN attaches to the interface that an earlier process left, or makes one, which is to stay.
func openTUN(mtu int) (tun.Device, error) {
	nic, err := tun.CreateTUN(wireGuardName, mtu)
	if errors.Is(err, unix.EINVAL) { // there is another kind of interface of that name
		link, findErr := findLink(wireGuardName)
		if findErr != nil || link == nil || link.Attrs().Alias != alias {
			return nil, errors.Join(err, findErr)
		}
		if err := netlink.LinkDel(link); err != nil {
			return nil, err
		}
		nic, err = tun.CreateTUN(wireGuardName, mtu)
	}
	if err != nil {
		return nil, err
	}
	file, err := nic.File().SyscallConn()
	if err == nil {
		control := file.Control(func(fd uintptr) { err = unix.IoctlSetInt(int(fd), unix.TUNSETPERSIST, 1) })
		err = errors.Join(err, control)
	}
	if err != nil {
		return nil, errors.Join(err, nic.Close())
	}
	return nic, nil
}

func (u *userTunnel) configure(c wgtypes.Config) error {
	if err := u.device.IpcSet(uapi(c)); err != nil {
		return err
	}
	for _, p := range c.Peers {
		u.known[p.PublicKey] = true
		if p.Remove {
			delete(u.known, p.PublicKey)
		}
	}
	return u.device.Up()
}

// peers are those that this process told the device: it starts with none.
func (u *userTunnel) peers() (map[wgtypes.Key]time.Time, error) {
	peers := map[wgtypes.Key]time.Time{}
	for key := range u.known {
		peers[key] = time.Time{}
	}
	return peers, nil
}

func (u *userTunnel) close() error {
	u.device.Close()
	return nil
}

// uapi writes a configuration in the language of WireGuard's programs.
func uapi(c wgtypes.Config) string {
	var b strings.Builder
	line := func(key string, value any) { fmt.Fprintf(&b, "%s=%v\n", key, value) }
	if c.PrivateKey != nil {
		line("private_key", hex.EncodeToString(c.PrivateKey[:]))
	}
	if c.ListenPort != nil {
		line("listen_port", *c.ListenPort)
	}
	for _, p := range c.Peers {
		line("public_key", hex.EncodeToString(p.PublicKey[:]))
		if p.Remove {
			line("remove", true)
			continue
		}
		if p.Endpoint != nil {
			line("endpoint", p.Endpoint)
		}
		if p.PersistentKeepaliveInterval != nil {
			line("persistent_keepalive_interval", int(p.PersistentKeepaliveInterval.Seconds()))
		}
		if p.ReplaceAllowedIPs {
			line("replace_allowed_ips", true)
		}
		for _, ip := range p.AllowedIPs {
			line("allowed_ip", ip.String())
		}
	}
	return b.String()
}
