package addresses

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/skerry-io/skerry/internal/host/nstest"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func addresses(text string) (ips []netip.Addr) {
	for one := range strings.SplitSeq(text, ",") {
		ips = append(ips, netip.MustParseAddr(one))
	}
	return ips
}

// noGlobal6 stands for a cluster in which some addresses do not count.
func noGlobal6(ips []netip.Addr) []netip.Addr {
	return slices.DeleteFunc(slices.Clone(ips), func(ip netip.Addr) bool { return ip.Is6() && !ip.IsPrivate() })
}

func TestOnlyAnotherAddressThatStaysEndsTheRun(t *testing.T) {
	const before = "10.0.0.1"
	type step struct {
		after time.Duration
		now   string // several with commas between, "" for none
	}
	for name, test := range map[string]struct {
		steps []step
		want  string // "" when the run goes on
		after time.Duration
	}{
		"nothing happens":               {nil, "", 0},
		"it changes":                    {[]step{{time.Hour, "10.0.0.2"}}, "10.0.0.2", time.Hour + settle},
		"it had changed before":         {[]step{{0, "10.0.0.2"}}, "10.0.0.2", settle},
		"it is lost":                    {[]step{{time.Hour, ""}}, "", 0},
		"it is lost and comes back":     {[]step{{time.Hour, ""}, {time.Hour, before}}, "", 0},
		"it is lost, another comes":     {[]step{{time.Hour, ""}, {time.Minute, "10.0.0.3"}}, "10.0.0.3", time.Hour + time.Minute + settle},
		"another comes and goes":        {[]step{{time.Hour, "10.0.0.2"}, {time.Second, before}}, "", 0},
		"one of IPv6 comes":             {[]step{{time.Hour, before + ",fd00::1"}}, "10.0.0.1 and fd00::1", time.Hour + settle},
		"one of IPv6 comes and goes":    {[]step{{time.Hour, before + ",fd00::1"}, {time.Second, before}}, "", 0},
		"one that does not count":       {[]step{{time.Hour, before + ",2001:db8::1"}}, "", 0},
		"only one that does not count":  {[]step{{time.Hour, "2001:db8::1"}}, "", 0},
		"it flaps for a while, settles": {[]step{{time.Hour, "10.0.0.2"}, {time.Second, before}, {time.Second, "10.0.0.2"}}, "10.0.0.2", time.Hour + 2*time.Second + settle},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				var now atomic.Value
				now.Store(before)
				events, ended := make(chan error), make(chan error, 1)
				began := time.Now()
				var took time.Duration
				go func() {
					err := Config{Addresses: addresses(before), Count: noGlobal6, Log: quiet()}.decide(ctx, events, func() ([]netip.Addr, error) {
						if text := now.Load().(string); text != "" {
							return addresses(text), nil
						}
						return nil, errors.New("none")
					})
					took = time.Since(began)
					ended <- err
				}()
				for _, s := range test.steps {
					time.Sleep(s.after)
					now.Store(s.now)
					events <- nil
				}
				time.Sleep(time.Hour)
				stop()
				err := <-ended
				var moved *Changed
				if !errors.As(err, &moved) {
					if test.want != "" {
						t.Errorf("it went on (%v), want a change to %s", err, test.want)
					}
					return
				}
				if list(moved.Now) != test.want || took != test.after {
					t.Errorf("changed to %s after %s, want %q after %s", moved.Now, took, test.want, test.after)
				}
			})
		})
	}
}

func TestAnAddressFromTheSettingsIsNeverChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			ended <- Run(ctx, Config{Addresses: addresses("192.0.2.1"), Fixed: true, Log: quiet()}, func() {})
		}()
		time.Sleep(time.Hour)
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// uplink makes an interface with an address and the default route.
func uplink(t *testing.T, ip string) (link netlink.Link, addr *netlink.Addr) {
	t.Helper()
	link = pair(t, "eth0")
	return link, readdress(t, link, nil, ip)
}

// pair makes an interface that is up, and its other end.
func pair(t *testing.T, name string) netlink.Link {
	t.Helper()
	link := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: name + "-far"}
	if err := netlink.LinkAdd(link); err != nil {
		t.Skipf("this kernel makes no pair of interfaces: %v", err)
	}
	far, err := netlink.LinkByName(link.PeerName)
	if err := errors.Join(err, netlink.LinkSetUp(far), netlink.LinkSetUp(link)); err != nil {
		t.Fatal(err)
	}
	return link
}

// readdress moves an interface and the default route from one address to another.
func readdress(t *testing.T, link netlink.Link, old *netlink.Addr, ip string) *netlink.Addr {
	t.Helper()
	addr, err := netlink.ParseAddr(ip + "/24")
	if err != nil {
		t.Fatal(err)
	}
	if old != nil {
		if err := netlink.AddrDel(link, old); err != nil {
			t.Fatal(err)
		}
	}
	if err := netlink.AddrAdd(link, addr); err != nil {
		t.Fatal(err)
	}
	gateway := addr.IP.Mask(addr.Mask)
	gateway[3] = 254
	if err := netlink.RouteReplace(&netlink.Route{LinkIndex: link.Attrs().Index, Gw: gateway}); err != nil {
		t.Fatal(err)
	}
	return addr
}

func TestARealChangeIsSeenAndALossIsNot(t *testing.T) {
	if !nstest.Inside(t) {
		return
	}
	link, addr := uplink(t, "10.0.0.1")
	ended := make(chan error, 1)
	ready := make(chan struct{})
	go func() {
		ended <- Run(t.Context(), Config{Addresses: addresses("10.0.0.1"), Log: quiet()}, func() { close(ready) })
	}()
	<-ready
	other := pair(t, "eth1") // its address leads nowhere
	aside, err := netlink.ParseAddr("192.0.2.9/24")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(netlink.AddrAdd(other, aside), netlink.AddrDel(link, addr)); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		t.Fatalf("the loss of the address ended the run: %v", err)
	case <-time.After(settle + 2*time.Second):
	}
	began := time.Now()
	readdress(t, link, nil, "10.0.1.7")
	var moved *Changed
	select {
	case err := <-ended:
		if !errors.As(err, &moved) || list(moved.Now) != "10.0.1.7" || list(moved.Before) != "10.0.0.1" {
			t.Errorf("got %v", err)
		}
	case <-time.After(settle + 5*time.Second):
		t.Error("the new address was not noticed")
	}
	t.Logf("after %s", time.Since(began))
}
