package network

import (
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/skerry-io/skerry/internal/host"
)

func prefixes(texts ...string) []netip.Prefix {
	var list []netip.Prefix
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

func TestConflist(t *testing.T) {
	for golden, pods := range map[string][]netip.Prefix{
		"testdata/ipv4.conflist":  prefixes("10.42.0.0/24"),
		"testdata/dual.conflist":  prefixes("10.42.0.0/24", "fd00:42::/64"),
		"testdata/asked.conflist": prefixes("10.42.0.0/24"),
	} {
		asks := ""
		if strings.Contains(golden, "asked") {
			asks = "/run/skerry/containerd/netpol/socket"
		}
		got, err := conflist(pods, 1450, "/run/skerry/containerd/leases", asks)
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if string(got)+"\n" != string(want) {
			t.Errorf("%s: got\n%s", golden, got)
		}
	}
}

// kernel are the changes that depend on the kernel the test runs on.
func kernel(six bool) []host.Change {
	if _, supported := host.BridgeNFCall(); !supported {
		return nil
	}
	changes := []host.Change{host.Sysctl{Key: "net.bridge.bridge-nf-call-iptables", Want: "1"}}
	if six {
		changes = append(changes, host.Sysctl{Key: "net.bridge.bridge-nf-call-ip6tables", Want: "1"})
	}
	return changes
}

func TestGuard(t *testing.T) {
	guard := func(cidr string) host.Change {
		return host.Route{Prefix: netip.MustParsePrefix(cidr), Type: host.Unreachable, Metric: guardMetric}
	}
	way := func(cidr, source string) host.Change {
		return host.Route{Prefix: netip.MustParsePrefix(cidr), Type: host.Loopback, Metric: serviceMetric, Source: netip.MustParseAddr(source)}
	}
	ours := host.NFTable{Family: "inet", Name: "skerry"}
	forward4, forward6 := host.Sysctl{Key: "net.ipv4.ip_forward", Want: "1"}, host.Sysctl{Key: "net.ipv6.conf.all.forwarding", Want: "1"}
	for name, c := range map[string]struct {
		pods, services []netip.Prefix
		nodeIPs        []netip.Addr
		want           []host.Change
	}{
		"IPv4": {prefixes("10.42.0.0/16"), prefixes("10.43.0.0/16"), []netip.Addr{netip.MustParseAddr("192.168.1.2")},
			append([]host.Change{ours, guard("10.42.0.0/16"), guard("10.43.0.0/16"), way("10.43.0.0/16", "192.168.1.2"), forward4}, kernel(false)...)},
		"both, on a node with IPv4 only": {prefixes("10.42.0.0/16", "fd00:42::/56"), prefixes("10.43.0.0/16", "fd00:43::/112"), []netip.Addr{netip.MustParseAddr("192.168.1.2")},
			append([]host.Change{ours, guard("10.42.0.0/16"), guard("fd00:42::/56"), guard("10.43.0.0/16"), guard("fd00:43::/112"),
				way("10.43.0.0/16", "192.168.1.2"), forward4, forward6}, kernel(true)...)},
		"IPv6": {prefixes("fd00:42::/56"), prefixes("fd00:43::/112"), []netip.Addr{netip.MustParseAddr("192.168.1.2"), netip.MustParseAddr("2001:db8::2")},
			append([]host.Change{ours, guard("fd00:42::/56"), guard("fd00:43::/112"), way("fd00:43::/112", "2001:db8::2"), forward6}, kernel(true)...)},
	} {
		if got := Guard(c.pods, c.services, c.nodeIPs); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
	if guardMetric <= serviceMetric {
		t.Error("the guard wins over the way to Services")
	}
}

func TestReplaceWritesOnlyWhatDiffers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "net.d", "10-skerry.conflist")
	long := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, step := range []struct {
		text    string
		written bool
	}{{"a", true}, {"a", false}, {"b", true}} {
		if _, err := os.Stat(path); err == nil {
			if err := os.Chtimes(path, long, long); err != nil {
				t.Fatal(err)
			}
		}
		if err := replace(path, []byte(step.text)); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if written := !info.ModTime().Equal(long); written != step.written {
			t.Errorf("%q: written is %t", step.text, written)
		}
		if text, _ := os.ReadFile(path); string(text) != step.text {
			t.Errorf("%q: the file says %q", step.text, text)
		}
	}
	if err := replace(filepath.Dir(path), nil); err == nil {
		t.Error("a folder is taken for the file")
	}
}
