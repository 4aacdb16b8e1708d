package overlay

import (
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"

	"github.com/skerry-io/skerry/internal/host"
)

func addrs(texts ...string) []netip.Addr {
	var list []netip.Addr
	for _, text := range texts {
		list = append(list, netip.MustParseAddr(text))
	}
	return list
}

func TestWhatIsLeftForPods(t *testing.T) {
	for name, c := range map[string]struct {
		uplink, overhead, want int
		pods                   []netip.Prefix
		wrong                  bool
	}{
		"Ethernet":                        {1500, vxlanOverhead4, 1450, prefixes("10.42.1.0/24"), false},
		"IPv6 between nodes":              {1500, vxlanOverhead6, 1430, prefixes("fd00:42::/64"), false},
		"a line of a provider, encrypted": {1492, wireGuardOverhead, 1412, prefixes("10.42.1.0/24"), false},
		"too small for IPv6":              {1300, vxlanOverhead4, 0, prefixes("10.42.1.0/24", "fd00:42::/64"), true},
		"small, with IPv4 only":           {1300, vxlanOverhead4, 1250, prefixes("10.42.1.0/24"), false},
	} {
		got, err := inner(c.uplink, c.overhead, c.pods)
		if got != c.want || (err != nil) != c.wrong {
			t.Errorf("%s: got %d, %v", name, got, err)
		}
	}
}

func TestTheAddressThatOthersAreTold(t *testing.T) {
	nodes := addrs("192.168.1.2", "2001:db8::2")
	for name, c := range map[string]struct {
		cluster   []netip.Prefix
		announced []netip.Addr
		want      string
	}{
		"IPv4":                      {prefixes("10.42.0.0/16"), nil, "192.168.1.2"},
		"IPv6":                      {prefixes("fd00:42::/56"), nil, "2001:db8::2"},
		"both":                      {prefixes("fd00:42::/56", "10.42.0.0/16"), nil, "192.168.1.2 2001:db8::2"},
		"the external one":          {prefixes("10.42.0.0/16"), addrs("203.0.113.7"), "203.0.113.7"},
		"the external one, of both": {prefixes("10.42.0.0/16", "fd00:42::/56"), addrs("203.0.113.7"), "203.0.113.7 2001:db8::2"},
	} {
		var got []string
		for _, a := range (Config{Cluster: c.cluster, Announced: c.announced}).announced(Uplink{Addrs: nodes}) {
			got = append(got, a.String())
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: got %v, want %s", name, got, c.want)
		}
	}
}

func TestTheMACNeedsNoMemory(t *testing.T) {
	one, two := vtepMAC("pi"), vtepMAC("pi-2")
	if one.String() != vtepMAC("pi").String() || one.String() == two.String() {
		t.Errorf("got %s and %s", one, two)
	}
	for _, mac := range [][]byte{one, two} {
		if mac[0]&3 != 2 {
			t.Errorf("%x is not a local address of one host", mac)
		}
	}
}

func TestAPeersAddressIsToldOnlyWhenTheDeviceKnowsNoBetter(t *testing.T) {
	key, now := wgtypes.Key{1}, time.Now()
	home, moved := netip.MustParseAddrPort("192.0.2.2:51820"), netip.MustParseAddrPort("192.0.2.3:51820")
	pods, others := prefixes("10.42.2.0/24"), prefixes("10.42.7.0/24")
	for name, c := range map[string]struct {
		set      *remote // told before
		have     *time.Time
		want     *remote
		told     bool // anything
		endpoint bool
		remove   bool
	}{
		"a new one":                            {nil, nil, &remote{home, pods}, true, true, false},
		"one that is as it was":                {&remote{home, pods}, &now, &remote{home, pods}, false, false, false},
		"one that tells another address":       {&remote{home, pods}, &now, &remote{moved, pods}, true, true, false},
		"one with other ranges":                {&remote{home, pods}, &now, &remote{home, others}, true, false, false},
		"one the kernel spoke with, restarted": {nil, &now, &remote{home, pods}, true, false, false},
		"one the kernel lost, restarted":       {nil, &time.Time{}, &remote{home, pods}, true, true, false},
		"one that someone took away":           {&remote{home, pods}, nil, &remote{home, pods}, true, true, false},
		"one that left":                        {&remote{home, pods}, &now, nil, true, false, true},
	} {
		w := &wireGuard{set: map[wgtypes.Key]remote{}}
		have, want := map[wgtypes.Key]time.Time{}, map[wgtypes.Key]remote{}
		if c.set != nil {
			w.set[key] = *c.set
		}
		if c.have != nil {
			have[key] = *c.have
		}
		if c.want != nil {
			want[key] = *c.want
		}
		got := w.change(want, have, now)
		if len(got) > 0 != c.told {
			t.Errorf("%s: got %v", name, got)
			continue
		}
		if c.told && (got[0].Remove != c.remove || (got[0].Endpoint != nil) != c.endpoint) {
			t.Errorf("%s: got %+v", name, got[0])
		}
	}
}

func TestTheKeyIsKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "wireguard.key")
	one, err := openKey(path)
	if err != nil {
		t.Fatal(err)
	}
	if two, err := openKey(path); err != nil || one != two {
		t.Errorf("got another one, %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("got %v, %v", info, err)
	}
	if err := os.WriteFile(path, []byte("torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openKey(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
}

func TestABackendThatThisVersionDoesNotHave(t *testing.T) {
	_, err := Open(Config{Kind: "carrier-pigeon", Apply: func(host.Change) error { return nil }, Log: slog.New(slog.DiscardHandler)})
	if err == nil || !strings.Contains(err.Error(), "carrier-pigeon") {
		t.Errorf("got %v", err)
	}
}

func TestThePreferredAddressIsTheNodes(t *testing.T) {
	have := addrs("192.0.2.8", "192.0.2.9", "2001:db8::8")
	for want, nodes := range map[string][]netip.Addr{"192.0.2.9": addrs("192.0.2.9"), "192.0.2.8": addrs("198.51.100.1")} {
		if got := preferred(have, nodes); len(got) != 2 || got[0].String() != want || got[1].String() != "2001:db8::8" {
			t.Errorf("got %v, want %s", got, want)
		}
	}
}
