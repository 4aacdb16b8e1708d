package netpol

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// linkLocal is an address that a pod has of its own making.
func (g *guest) linkLocal(t *testing.T) netip.Addr {
	t.Helper()
	var found netip.Addr
	g.inside(func() {
		link, err := netlink.LinkByName("eth0")
		must(t, err)
		addrs, err := netlink.AddrList(link, netlink.FAMILY_V6)
		must(t, err)
		for _, a := range addrs {
			if ip, _ := netip.AddrFromSlice(a.IP); ip.IsLinkLocalUnicast() {
				found = ip.WithZone("eth0")
			}
		}
	})
	return found
}

func TestThereIsNoWayAroundOnTheBridge(t *testing.T) {
	if !needNFT(t) {
		return
	}
	s := newSite(t, true)
	to := s.b.linkLocal(t)
	s.force(t)
	must(t, s.rest(t.Context()))
	if err := s.a.reach("tcp", to, 80); err != nil {
		t.Fatalf("without policies: %v", err)
	}
	heard := s.b.hears(t, 5353)
	shout := func() { s.a.shout(t, netip.MustParseAddr("10.42.0.255"), 5353) }
	shout()
	if !<-heard {
		t.Fatal("without policies a broadcast is not heard")
	}
	s.force(t, policyOf(t, "one", "deny", `{podSelector: {matchLabels: {app: b}}}`))
	if err := s.a.reach("tcp", to, 80); err == nil {
		t.Error("the address of the pod's own making is open")
	}
	shout()
	if <-heard {
		t.Error("a broadcast is heard")
	}
}

func TestABroadcastCrossesNoBridgeWithoutBridgeNetfilter(t *testing.T) {
	if !needNFT(t) {
		return
	}
	s := newSite(t, false)
	must(t, s.cross(t.Context(), false))
	heard := s.b.hears(t, 5353)
	s.a.shout(t, netip.MustParseAddr("10.42.0.255"), 5353)
	if !<-heard {
		t.Fatal("without policies a broadcast is not heard")
	}
	must(t, s.cross(t.Context(), true))
	s.a.shout(t, netip.MustParseAddr("10.42.0.255"), 5353)
	if <-heard {
		t.Error("a broadcast is heard")
	}
}

// hears tells, for each second, whether a UDP packet came.
func (g *guest) hears(t *testing.T, port int) <-chan bool {
	heard := make(chan bool)
	g.inside(func() {
		conn, err := net.ListenPacket("udp4", fmt.Sprintf("0.0.0.0:%d", port))
		must(t, err)
		t.Cleanup(func() { conn.Close() })
		go func() {
			for {
				conn.SetReadDeadline(time.Now().Add(time.Second))
				_, _, err := conn.ReadFrom(make([]byte, 10))
				select {
				case heard <- err == nil:
				case <-t.Context().Done():
					return
				}
			}
		}()
	})
	return heard
}

func (g *guest) shout(t *testing.T, to netip.Addr, port int) {
	g.inside(func() {
		conn, err := net.ListenPacket("udp4", "0.0.0.0:0") // may broadcast
		must(t, err)
		defer conn.Close()
		_, err = conn.WriteTo([]byte("x"), net.UDPAddrFromAddrPort(netip.AddrPortFrom(to, uint16(port))))
		must(t, err)
	})
}

func TestTheMiddleOfAConnectionBeginsNone(t *testing.T) {
	if !needNFT(t) {
		return
	}
	s := newSite(t, true)
	s.force(t)
	conn, err := s.a.dial("tcp", s.b.addrs[0], 81)
	must(t, err)
	defer conn.Close()
	must(t, exchange(conn))
	s.force(t, policyOf(t, "one", "deny", `{podSelector: {matchLabels: {app: b}}}`))
	// Conntrack forgets the connection; a packet of b, which may talk to everyone, would begin it the other way round.
	_, err = netlink.ConntrackDeleteFilters(netlink.ConntrackTable, unix.AF_INET, netlink.CustomConntrackFilter(everyFlow{}))
	must(t, err)
	for range 3 {
		if err := exchange(conn); err == nil {
			t.Error("it goes on")
		}
	}
}

type everyFlow struct{}

func (everyFlow) MatchConntrackFlow(*netlink.ConntrackFlow) bool { return true }

func TestServicesAreSeenAsTheirPods(t *testing.T) {
	if !needNFT(t) {
		return
	}
	s := newSite(t, true)
	must(t, nft(t.Context(), `table ip service {
		chain in { type nat hook prerouting priority dstnat; ip daddr 10.43.0.9 tcp dport 8000 dnat to 10.42.0.3:80; }
		chain out { type nat hook postrouting priority srcnat; ct status dnat masquerade; }
	}`))
	service := netip.MustParseAddr("10.43.0.9")
	for spec, want := range map[string]bool{
		`{podSelector: {matchLabels: {app: b}}, ingress: [{from: [{podSelector: {matchLabels: {app: a}}}], ports: [{port: 80}]}]}`:                     true,
		`{podSelector: {matchLabels: {app: b}}, ingress: [{ports: [{port: 8000}]}]}`:                                                                   false,
		`{podSelector: {matchLabels: {app: b}}, ingress: [{from: [{podSelector: {matchLabels: {app: far}}}]}]}`:                                        false,
		`{podSelector: {matchLabels: {app: a}}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {app: b}}}], ports: [{port: 80}]}]}`: true,
		`{podSelector: {matchLabels: {app: a}}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 10.43.0.9/32}}]}]}`:                             false,
	} {
		s.force(t, policyOf(t, "one", "p", spec))
		if err := s.a.reach("tcp", service, 8000); (err == nil) != want {
			t.Errorf("%s: %v", spec, err)
		}
	}
	// A pod reaches itself, by a Service too.
	s.force(t, policyOf(t, "one", "p", `{podSelector: {}, policyTypes: [Ingress, Egress]}`))
	if err := s.b.reach("tcp", service, 8000); err != nil {
		t.Errorf("a pod to itself: %v", err)
	}
	if err := s.a.reach("tcp", service, 8000); err == nil {
		t.Error("to another")
	}
}

func TestErrorsBelongToTheirConnection(t *testing.T) {
	if !needNFT(t) {
		return
	}
	s := newSite(t, true)
	s.force(t, policyOf(t, "one", "p", `{podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{ports: [{port: 99, protocol: UDP}]}], egress: [{ports: [{port: 99, protocol: UDP}, {port: 98, protocol: UDP}]}]}`))
	for _, to := range s.b.addrs {
		if err := s.a.reach("udp", to, 99); !errors.Is(err, unix.ECONNREFUSED) { // nobody listens there, and says so
			t.Errorf("%s, allowed: %v", to, err)
		}
		if err := s.a.reach("udp", to, 98); errors.Is(err, unix.ECONNREFUSED) {
			t.Errorf("%s, not allowed: %v", to, err)
		}
	}
}

func TestTheNodeReachesItsPods(t *testing.T) {
	if !needNFT(t) {
		return
	}
	s := newSite(t, true)
	s.force(t, policyOf(t, "one", "deny", `{podSelector: {}, policyTypes: [Ingress, Egress]}`))
	for _, a := range s.b.addrs {
		conn, err := net.DialTimeout("tcp", netip.AddrPortFrom(a, 80).String(), time.Second)
		if err != nil {
			t.Errorf("a probe of %s: %v", a, err)
			continue
		}
		conn.Close()
	}
}

// sctp sends the first packet of an SCTP association: kernels that have no such sockets can pass it on.
func (g *guest) sctp(t *testing.T, to netip.Addr, port uint16) {
	t.Helper()
	packet := make([]byte, 12+20)
	binary.BigEndian.PutUint16(packet[0:], 40000+port)
	binary.BigEndian.PutUint16(packet[2:], port)
	packet[12], packet[15] = 1, 20 // INIT, its length
	binary.BigEndian.PutUint32(packet[16:], 7)
	binary.BigEndian.PutUint32(packet[20:], 65536)
	binary.BigEndian.PutUint16(packet[24:], 1)
	binary.BigEndian.PutUint16(packet[26:], 1)
	binary.BigEndian.PutUint32(packet[28:], 1)
	binary.LittleEndian.PutUint32(packet[8:], crc32.Checksum(packet, crc32.MakeTable(crc32.Castagnoli)))
	g.inside(func() {
		conn, err := net.Dial("ip:132", to.String())
		must(t, err)
		defer conn.Close()
		_, err = conn.Write(packet)
		must(t, err)
	})
}

func TestSCTP(t *testing.T) {
	if !needNFT(t) {
		return
	}
	s := newSite(t, true)
	s.force(t, policyOf(t, "one", "p", `{podSelector: {matchLabels: {app: b}}, ingress: [{ports: [{port: 5000, endPort: 5009, protocol: SCTP}, {port: 5020}]}]}`))
	arrived := make(chan uint16, 10)
	s.b.inside(func() {
		conn, err := net.ListenPacket("ip4:132", "0.0.0.0")
		must(t, err)
		t.Cleanup(func() { conn.Close() })
		go func() {
			packet := make([]byte, 200)
			for {
				n, _, err := conn.ReadFrom(packet)
				if err != nil {
					return
				}
				if n > 4 {
					arrived <- binary.BigEndian.Uint16(packet[2:])
				}
			}
		}()
	})
	for _, port := range []uint16{4999, 5000, 5010, 5020, 5009} {
		s.a.sctp(t, s.b.addrs[0], port)
	}
	for _, want := range []uint16{5000, 5009} {
		select {
		case got := <-arrived:
			if got != want {
				t.Errorf("arrived is %d, not %d", got, want)
			}
		case <-time.After(time.Second):
			t.Errorf("%d does not arrive", want)
		}
	}
}

func TestBlocksOfAllSizesAreTaken(t *testing.T) {
	if !needNFT(t) {
		return
	}
	s := newSite(t, true)
	for _, spec := range []string{
		`{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0}}, {ipBlock: {cidr: "::/0"}}]}]}`,
		`{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.42.0.0/16, 255.255.255.255/32, 0.0.0.0/32]}}, {ipBlock: {cidr: 10.42.0.2/32}}, {ipBlock: {cidr: 10.42.0.2/31}}]}]}`,
		`{podSelector: {}, ingress: [{ports: [{port: 1, endPort: 65535}, {port: 80}, {port: web}, {protocol: UDP}, {port: 1, endPort: 65535, protocol: SCTP}]}]}`,
		`{podSelector: {}, ingress: [{ports: [{port: nowhere}]}], egress: [{ports: [{port: web}]}], policyTypes: [Ingress, Egress]}`,
	} {
		s.force(t, policyOf(t, "one", strings.Repeat("a-long-name", 20), spec))
	}
}

func TestRulesAreReplacedWhenSomebodyElseTookThemAway(t *testing.T) {
	if !needNFT(t) {
		return
	}
	s := newSite(t, true)
	deny := policyOf(t, "one", "deny", `{podSelector: {matchLabels: {app: b}}}`)
	s.force(t, deny)
	must(t, nft(t.Context(), "flush ruleset"))
	s.force(t, deny, policyOf(t, "two", "deny", `{podSelector: {}}`))
	if err := s.a.reach("tcp", s.b.addrs[0], 80); err == nil {
		t.Error("it is open")
	}
}

func TestItIsNoticedWhenOurTableGoes(t *testing.T) {
	if !needNFT(t) {
		return
	}
	k := newKernel(Config{Bridge: "cni0"})
	k.noted = true
	opened, lost, ended := make(chan struct{}), make(chan struct{}, 9), make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { ended <- watchTables(ctx, func() { close(opened) }, func() { lost <- struct{}{} }) }()
	<-opened
	for range 3 { // anew, and again, and by a change
		k.sure = false
		rules, _ := compile(many(t, 50, 50))
		must(t, k.enforce(t.Context(), rules))
	}
	must(t, nft(t.Context(), "add table inet other\ndelete table inet other"))
	select {
	case <-lost:
		t.Error("it is lost while it stands")
	case <-time.After(300 * time.Millisecond):
	}
	must(t, nft(t.Context(), "flush ruleset"))
	select {
	case <-lost:
	case <-time.After(5 * time.Second):
		t.Error("nobody noticed")
	}
	cancel()
	must(t, <-ended)
}
