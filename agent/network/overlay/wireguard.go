package overlay

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"

	"github.com/skerry-io/skerry/internal/fault"
)

const (
	wireGuardName = "flannel-wg"
	wireGuardPort = 51820
)

// wireGuardOverhead is what WireGuard adds to a packet: its own 32, UDP 8, and IPv6 40, as each peer may be reached by
// either family.
const wireGuardOverhead = 80

const (
	// keepalive keeps the door of a home router open, through which the other node's packets come back.
	keepalive = 25 * time.Second
	// sessionLife is how long after a handshake a peer's address is known to be right, wherever it was learned.
	sessionLife = 3 * time.Minute
)

// tunnel is a WireGuard device, in the kernel or in this process.
type tunnel interface {
	configure(wgtypes.Config) error
	// peers are those that the device knows, with the time of their last handshake.
	peers() (map[wgtypes.Key]time.Time, error)
	close() error
}

// wireGuard encrypts what goes between nodes. One interface carries both families.
type wireGuard struct {
	config Config

	key    wgtypes.Key
	tunnel tunnel
	set    map[wgtypes.Key]remote // what this process told the device
	up     Uplink
	index  int
	mtu    int
}

// wireGuardData is what nodes tell each other.
type wireGuardData struct {
	PublicKey string
	Port      uint16
}

// remote is what a device has to know of a peer.
type remote struct {
	at     netip.AddrPort
	ranges []netip.Prefix
}

func (w *wireGuard) MTU() int { return w.mtu }

func (w *wireGuard) Close() error {
	if w.tunnel == nil {
		return nil
	}
	err := w.tunnel.close()
	w.tunnel, w.set = nil, nil
	return err
}

func (w *wireGuard) Announcement() (Announcement, error) {
	data, err := json.Marshal(wireGuardData{PublicKey: w.key.PublicKey().String(), Port: wireGuardPort})
	return Announcement{Type: "wireguard", Addrs: w.config.announced(w.up), Data: data}, err
}

func (w *wireGuard) Up(own []netip.Prefix) error {
	up, err := w.config.uplink(w.up)
	if err != nil {
		return err
	}
	mtu, err := inner(up.MTU, wireGuardOverhead, own)
	if err != nil {
		return err
	}
	link, err := w.ensure(mtu)
	if err != nil {
		return err
	}
	if err := raise(link, mtu, own); err != nil {
		return err
	}
	w.up, w.index, w.mtu = up, link.Attrs().Index, mtu
	return nil
}

// ensure opens the tunnel, again when someone took its interface away.
func (w *wireGuard) ensure(mtu int) (netlink.Link, error) {
	if w.tunnel != nil {
		link, err := findLink(wireGuardName)
		if err != nil {
			return nil, err
		}
		if link != nil && link.Attrs().Index == w.index {
			return link, nil
		}
		if err := w.Close(); err != nil {
			w.config.Log.Debug("closed a WireGuard device that was gone", "err", err)
		}
	}
	key, err := openKey(w.config.KeyFile)
	if err != nil {
		return nil, err
	}
	open, err := openTunnel(w.config, mtu)
	if err != nil {
		return nil, err
	}
	port := wireGuardPort
	if err := open.configure(wgtypes.Config{PrivateKey: &key, ListenPort: &port}); err != nil {
		return nil, errors.Join(fault.New("start WireGuard").Because(err).
			Fix("see that no other program uses UDP port %d", wireGuardPort), open.close())
	}
	w.key, w.tunnel, w.set = key, open, map[wgtypes.Key]remote{}
	return netlink.LinkByName(wireGuardName)
}

func (w *wireGuard) Sync(peers []Peer) error {
	var failed []error
	want := map[wgtypes.Key]remote{}
	var routes []netlink.Route
	for _, peer := range peers {
		key, r, err := w.remote(peer)
		if err != nil {
			failed = append(failed, fmt.Errorf("node %s: %w", peer.Node, err))
			continue
		}
		want[key] = r
		for _, to := range peer.Ranges {
			routes = append(routes, routeTo(to, netip.Addr{}, w.index))
		}
	}
	have, err := w.tunnel.peers()
	if err != nil {
		return errors.Join(append(failed, err)...)
	}
	if change := w.change(want, have, time.Now()); len(change) > 0 {
		if err := w.tunnel.configure(wgtypes.Config{Peers: change}); err != nil {
			return errors.Join(append(failed, fmt.Errorf("tell WireGuard of other nodes: %w", err))...)
		}
		w.set = want
	}
	return errors.Join(append(failed, addRoutes(routes), dropRoutes(routes))...)
}

// remote reads what a peer tells.
func (w *wireGuard) remote(peer Peer) (wgtypes.Key, remote, error) {
	var data wireGuardData
	if err := json.Unmarshal(peer.Data, &data); err != nil {
		return wgtypes.Key{}, remote{}, fmt.Errorf("what it tells of its WireGuard: %w", err)
	}
	key, err := wgtypes.ParseKey(data.PublicKey)
	if err != nil {
		return wgtypes.Key{}, remote{}, fmt.Errorf("what it tells of its WireGuard: %w", err)
	}
	addr := ofFamily(peer.Addrs, w.config.six())
	if !addr.IsValid() {
		addr = ofFamily(peer.Addrs, !w.config.six())
	}
	if !addr.IsValid() {
		return wgtypes.Key{}, remote{}, errors.New("it tells no address")
	}
	return key, remote{at: netip.AddrPortFrom(addr, data.Port), ranges: peer.Ranges}, nil
}

// change is what the device is to be told. The address of a peer is told only when the peer is new to the device or
// tells another one: a device that speaks with a peer behind a router knows better where it is.
func (w *wireGuard) change(want map[wgtypes.Key]remote, have map[wgtypes.Key]time.Time, now time.Time) []wgtypes.PeerConfig {
	var peers []wgtypes.PeerConfig
	for key := range have {
		if _, wanted := want[key]; !wanted {
			peers = append(peers, wgtypes.PeerConfig{PublicKey: key, Remove: true})
		}
	}
	every := keepalive
	for key, r := range want {
		handshake, known := have[key]
		set, told := w.set[key]
		if known && told && set.at == r.at && slices.Equal(set.ranges, r.ranges) {
			continue
		}
		peer := wgtypes.PeerConfig{PublicKey: key, PersistentKeepaliveInterval: &every, ReplaceAllowedIPs: true}
		for _, p := range r.ranges {
			peer.AllowedIPs = append(peer.AllowedIPs, *ipNet(p))
		}
		speaks := known && now.Sub(handshake) < sessionLife
		if told && set.at != r.at || !told && !speaks || !known {
			peer.Endpoint = net.UDPAddrFromAddrPort(r.at)
		}
		peers = append(peers, peer)
	}
	return peers
}
