package servicelb

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/skerry-io/skerry/internal/host"
	"github.com/skerry-io/skerry/internal/host/nstest"
)

// cable makes two interfaces that are connected, the first with addresses of two networks.
func cable(t *testing.T) {
	t.Helper()
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "up0"}, PeerName: "up1"}); err != nil {
		t.Skipf("no veth interfaces here: %v", err)
	}
	for _, name := range []string{"up0", "up1"} {
		if err := netlink.LinkSetUp(named(t, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, text := range []string{"192.0.2.1/24", "2001:db8::1/64"} {
		address, err := netlink.ParseAddr(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := netlink.AddrAdd(named(t, "up0"), address); err != nil {
			t.Fatal(err)
		}
	}
}

func named(t *testing.T, name string) netlink.Link {
	t.Helper()
	link, err := netlink.LinkByName(name)
	if err != nil {
		t.Fatal(err)
	}
	return link
}

// applied makes a change without a ledger: it is put on twice, as a renewal does.
func applied(t *testing.T) func(host.Change) error {
	ledger, err := host.Open(t.TempDir()+"/ledger", discard())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ledger.Close() })
	return ledger.Apply
}

func dialed(t *testing.T, ip, on string) line {
	t.Helper()
	link := named(t, on)
	l, err := dial(netip.MustParseAddr(ip), link.Attrs().Index, link.Attrs().HardwareAddr)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// hears waits for a claim; empty for none.
func hears(l line, within time.Duration) string {
	select {
	case who := <-l.heard():
		return who
	case <-time.After(within):
		return ""
	}
}

// TestPackets: over a real cable, the kernel answers for what it has, and announcements are heard at the other end.
func TestPackets(t *testing.T) {
	if !nstest.Inside(t) {
		return
	}
	cable(t)
	for _, ip := range []string{"192.0.2.77", "2001:db8::77"} {
		here, other := dialed(t, ip, "up0"), dialed(t, strings.Replace(ip, "77", "78", 1), "up0")
		if err := here.ask(); err != nil {
			t.Fatal(err)
		}
		if who := hears(here, 300*time.Millisecond); who != "" {
			t.Errorf("for %s, which nobody has, answers %s", ip, who)
		}
		there := &ground{ip: netip.MustParseAddr(ip), link: named(t, "up1"), apply: applied(t)}
		if err := there.add(); err != nil {
			t.Fatal(err)
		}
		testUntil(t, "for "+ip+" answers who has it", func() bool { // the kernel joins the group of an address in its own time
			if err := here.ask(); err != nil {
				t.Fatal(err)
			}
			return hears(here, 100*time.Millisecond) == there.hardware()
		})
		if err := there.remove(); err != nil {
			t.Fatal(err)
		}
		l, err := there.listen()
		if err != nil {
			t.Fatal(err)
		}
		if err := l.announce(); err != nil {
			t.Fatal(err)
		}
		if who := hears(here, 5*time.Second); who != there.hardware() {
			t.Errorf("%s is announced by %q, not %s", ip, who, there.hardware())
		}
		if who := hears(other, 100*time.Millisecond); who != "" {
			t.Errorf("who asks for another address than %s hears of it, from %s", ip, who)
		}
		if who := hears(l, 100*time.Millisecond); who != "" {
			t.Errorf("who announces %s hears itself, or %s", ip, who)
		}
		for _, each := range []line{here, other, l} {
			each.close()
		}
	}
}

// TestNeighboursLearn: who knows the address by another hardware address believes the announcement.
func TestNeighboursLearn(t *testing.T) {
	if !nstest.Inside(t) {
		return
	}
	cable(t)
	for _, ip := range []string{"192.0.2.77", "2001:db8::77"} {
		there := named(t, "up1")
		old := there.Attrs().HardwareAddr
		old[5] ^= 1
		known := &netlink.Neigh{LinkIndex: named(t, "up0").Attrs().Index, IP: netip.MustParseAddr(ip).AsSlice(), HardwareAddr: old, State: netlink.NUD_STALE}
		if err := netlink.NeighSet(known); err != nil {
			t.Fatal(err)
		}
		l := dialed(t, ip, "up1")
		if err := l.announce(); err != nil {
			t.Fatal(err)
		}
		testUntil(t, ip+" is known by its new hardware address", func() bool {
			list, err := netlink.NeighList(known.LinkIndex, 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range list {
				if n.IP.Equal(known.IP) && n.HardwareAddr.String() == named(t, "up1").Attrs().HardwareAddr.String() {
					return true
				}
			}
			return false
		})
		l.close()
	}
}

func testUntil(t *testing.T, what string, done func() bool) {
	t.Helper()
	for range 500 {
		if done() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("not in five seconds: %s", what)
}

func TestWhereAnAddressBelongs(t *testing.T) {
	if !nstest.Inside(t) {
		return
	}
	cable(t)
	for ip, want := range map[string]string{
		"192.0.2.77":   "up0",
		"2001:db8::77": "up0",
		"192.0.2.1":    "an address of this host's own",
		"198.51.100.1": "of no network that this host has an address in",
		"127.0.0.9":    "of no network that this host has an address in",
	} {
		p, err := find(netip.MustParseAddr(ip), applied(t))
		if err != nil {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v", ip, err)
			}
			continue
		}
		if p.name() != want || p.present() {
			t.Errorf("%s belongs to %s, and is there: %t", ip, p.name(), p.present())
		}
		if err := p.add(); err != nil {
			t.Fatal(err)
		}
		if again, err := find(netip.MustParseAddr(ip), applied(t)); err != nil || !again.present() {
			t.Errorf("%s is not found again: %v", ip, err)
		}
	}
}

// TestTheEndOfALine: an interface that goes away ends the hearing.
func TestTheEndOfALine(t *testing.T) {
	if !nstest.Inside(t) {
		return
	}
	cable(t)
	l := dialed(t, "192.0.2.77", "up0")
	if err := netlink.LinkDel(named(t, "up0")); err != nil {
		t.Fatal(err)
	}
	select {
	case _, alive := <-l.heard():
		if alive {
			t.Error("it heard something")
		}
	case <-time.After(5 * time.Second):
		t.Error("it goes on listening")
	}
	l.close()
}
