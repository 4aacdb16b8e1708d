package overlay

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"

	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/host"
)

// The interface, by what nodes reach each other with.
const (
	vxlanName4 = "flannel.1"
	vxlanName6 = "flannel-v6.1"
)

const (
	vxlanID   = 1
	vxlanPort = 8472
)

// What vxlan adds to a packet: Ethernet 14, vxlan 8, UDP 8, and IP.
const (
	vxlanOverhead4 = 50
	vxlanOverhead6 = 70
)

// vxlan puts packets of pods into UDP packets. One interface carries both families.
type vxlan struct {
	config Config
	name   string
	mac    net.HardwareAddr

	up    Uplink
	index int
	mtu   int
}

// vxlanData is what nodes tell each other.
type vxlanData struct {
	VNI     uint32
	VtepMAC string
}

func newVXLAN(c Config) *vxlan {
	v := &vxlan{config: c, name: vxlanName4, mac: vtepMAC(c.Node)}
	if c.six() {
		v.name = vxlanName6
	}
	return v
}

// vtepMAC is made of the node's name, so that it needs no memory and a node that returns has the same.
func vtepMAC(node string) net.HardwareAddr {
	sum := sha256.Sum256([]byte("vtep of " + node))
	mac := net.HardwareAddr(sum[:6])
	mac[0] = mac[0]&^1 | 2 // of one host, chosen by us
	return mac
}

func (v *vxlan) MTU() int     { return v.mtu }
func (v *vxlan) Close() error { return nil }

func (v *vxlan) Announcement() (Announcement, error) {
	data, err := json.Marshal(vxlanData{VNI: vxlanID, VtepMAC: v.mac.String()})
	return Announcement{Type: "vxlan", Addrs: v.config.announced(v.up), Data: data}, err
}

func (v *vxlan) Up(own []netip.Prefix) error {
	up, err := v.config.uplink(v.up)
	if err != nil {
		return err
	}
	overhead := vxlanOverhead4
	if v.config.six() {
		overhead = vxlanOverhead6
	}
	mtu, err := inner(up.MTU, overhead, own)
	if err != nil {
		return err
	}
	link, err := v.ensure(up, mtu)
	if err != nil {
		return err
	}
	if err := raise(link, mtu, own); err != nil {
		return err
	}
	v.up, v.index, v.mtu = up, link.Attrs().Index, mtu
	return nil
}

// ensure adopts the interface, or makes it anew when it is not what is wanted now.
func (v *vxlan) ensure(up Uplink, mtu int) (netlink.Link, error) {
	source := ofFamily(up.Addrs, v.config.six())
	if !source.IsValid() {
		return nil, fault.New("this node has no address of the IP family that nodes of this cluster reach each other by").
			Fix("set node-ip to an address of each family of cluster-cidr")
	}
	want := &netlink.Vxlan{LinkAttrs: netlink.LinkAttrs{Name: v.name, HardwareAddr: v.mac, MTU: mtu}, VxlanId: vxlanID, Port: vxlanPort}
	if up.Index != 0 { // an address that no interface has (now) cannot be sent from
		want.SrcAddr = source.AsSlice()
	}
	if v.config.Iface != "" {
		want.VtepDevIndex = up.Index
	}
	if err := v.config.Apply(host.Link{Name: v.name, Type: "vxlan"}); err != nil {
		return nil, err
	}
	have, err := findLink(v.name)
	if err != nil {
		return nil, err
	}
	if have != nil {
		if there, ok := have.(*netlink.Vxlan); ok && up.Index == 0 {
			want.SrcAddr = there.SrcAddr // the address may come back
		}
		if sameVXLAN(want, have) {
			return have, nil
		}
		v.config.Log.Info("the interface between nodes is made anew", "interface", v.name)
		if err := netlink.LinkDel(have); err != nil {
			return nil, fmt.Errorf("remove interface %s: %w", v.name, err)
		}
	}
	if err := netlink.LinkAdd(want); err != nil {
		return nil, fault.New("make the vxlan interface %s", v.name).Because(err).
			Fix("see that the kernel has vxlan (modprobe vxlan) and that no other program uses UDP port %d, or set flannel-backend to host-gw", vxlanPort)
	}
	return netlink.LinkByName(v.name)
}

func sameVXLAN(want *netlink.Vxlan, link netlink.Link) bool {
	have, ok := link.(*netlink.Vxlan)
	return ok && have.VxlanId == want.VxlanId && have.Port == want.Port && have.SrcAddr.Equal(want.SrcAddr) && !have.Learning &&
		have.VtepDevIndex == want.VtepDevIndex && have.HardwareAddr.String() == want.HardwareAddr.String()
}

// Sync leads each range to a gateway that stands for the node, the gateway to the node's MAC, and that to its address.
func (v *vxlan) Sync(peers []Peer) error {
	var failed []error
	var entries []netlink.Neigh
	var routes []netlink.Route
	for _, peer := range peers {
		fdb, arp, err := v.entries(peer)
		if err != nil {
			failed = append(failed, fmt.Errorf("node %s: %w", peer.Node, err))
			continue
		}
		entries = append(append(entries, fdb), arp...)
		for _, to := range peer.Ranges {
			r := routeTo(to, to.Addr(), v.index)
			r.SetFlag(netlink.FLAG_ONLINK)
			routes = append(routes, r)
		}
	}
	// What leads nowhere yet comes last, and goes first.
	return errors.Join(append(failed, setNeighbours(v.index, entries), addRoutes(routes), dropRoutes(routes), dropNeighbours(v.index, entries))...)
}

// entries are the two steps from a peer's ranges to its address.
func (v *vxlan) entries(peer Peer) (fdb netlink.Neigh, arp []netlink.Neigh, err error) {
	var data vxlanData
	if err := json.Unmarshal(peer.Data, &data); err != nil {
		return fdb, nil, fmt.Errorf("what it tells of its vxlan: %w", err)
	}
	mac, err := net.ParseMAC(data.VtepMAC)
	if err != nil {
		return fdb, nil, fmt.Errorf("what it tells of its vxlan: %w", err)
	}
	addr := ofFamily(peer.Addrs, v.config.six())
	if !addr.IsValid() {
		return fdb, nil, errors.New("it has no address of the IP family that nodes reach each other by")
	}
	fdb = forwarding(v.index, mac, addr)
	for _, to := range peer.Ranges {
		arp = append(arp, resolution(v.index, to.Addr(), mac))
	}
	return fdb, arp, nil
}
