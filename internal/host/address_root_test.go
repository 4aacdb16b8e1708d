package host

import (
	"io"
	"log/slog"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/skerry-io/skerry/internal/host/nstest"
)

// TestAddressForATime: an address of ours is no source, renews, and goes by itself, by hand, and by the ledger.
func TestAddressForATime(t *testing.T) {
	if !nstest.Inside(t) {
		return
	}
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "up0"}, PeerName: "up1"}); err != nil {
		t.Skipf("no veth interfaces here: %v", err)
	}
	link, err := netlink.LinkByName("up0")
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		t.Fatal(err)
	}
	own, err := netlink.ParseAddr("192.0.2.1/24")
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.AddrAdd(link, own); err != nil {
		t.Fatal(err)
	}
	ledger, err := Open(filepath.Join(t.TempDir(), "ledger"), slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	for _, ip := range []string{"192.0.2.77", "2001:db8::77"} {
		a := Address{Link: "up0", Address: netip.MustParseAddr(ip), Lifetime: 2 * time.Second}
		if err := ledger.Apply(a); err != nil {
			t.Fatal(err)
		}
		if flags := flagsOf(t, link, a); flags&unix.IFA_F_DEPRECATED == 0 || flags&unix.IFA_F_TENTATIVE != 0 {
			t.Errorf("%s has the flags %x", ip, flags)
		}
		if err := ledger.Apply(a); err != nil {
			t.Errorf("renew: %v", err)
		}
		if err := a.Remove(); err != nil || present(t, a) {
			t.Errorf("%s is still there, %v", ip, err)
		}
		if err := a.Remove(); err != nil {
			t.Errorf("the second time: %v", err)
		}
		if err := ledger.Apply(a); err != nil {
			t.Fatal(err)
		}
	}
	if ips, err := NodeIPs(); err != nil || ips[0] != netip.MustParseAddr("192.0.2.1") {
		t.Errorf("the host is reached by %s, %v", ips, err)
	}
	if _, err := ledger.Undo(t.Context(), Live); err != nil {
		t.Fatal(err)
	}
	a := Address{Link: "up0", Address: netip.MustParseAddr("192.0.2.77"), Lifetime: time.Second}
	if present(t, a) {
		t.Error("undone, it is still there")
	}
	if err := ledger.Apply(a); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(20 * time.Second)
	for present(t, a) {
		if time.Now().After(deadline) {
			t.Fatal("it outlives its time")
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func present(t *testing.T, a Address) bool {
	t.Helper()
	_, there, err := a.find()
	if err != nil {
		t.Fatal(err)
	}
	return there
}

func flagsOf(t *testing.T, link netlink.Link, a Address) int {
	t.Helper()
	list, err := netlink.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		t.Fatal(err)
	}
	for _, have := range list {
		if have.IP.Equal(a.Address.AsSlice()) {
			return have.Flags
		}
	}
	t.Fatalf("%s is not there", a.Address)
	return 0
}
