package server

import (
	"net/netip"
	"testing"

	"github.com/skerry-io/skerry/internal/config"
)

func TestTheServerIsReachedByTheClustersFamilies(t *testing.T) {
	four, six := netip.MustParsePrefix("10.43.0.0/16"), netip.MustParsePrefix("fd00:43::/112")
	nodeIPs := []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}
	for name, c := range map[string]struct {
		services  []netip.Prefix
		advertise string
		bind      string
		told      string
		listen    string
	}{
		"IPv4":                     {[]netip.Prefix{four}, "", "0.0.0.0", "192.0.2.1", "0.0.0.0:6443"},
		"IPv6":                     {[]netip.Prefix{six}, "", "0.0.0.0", "2001:db8::1", ":6443"},
		"both, IPv6 first":         {[]netip.Prefix{six, four}, "", "0.0.0.0", "2001:db8::1", ":6443"},
		"both, as the user wants":  {[]netip.Prefix{four, six}, "192.0.2.9", "192.0.2.1", "192.0.2.9", "192.0.2.1:6443"},
		"all that there is, asked": {[]netip.Prefix{four}, "", "::", "192.0.2.1", "[::]:6443"},
	} {
		s := config.Server{Common: config.Common{ServiceCIDR: c.services, HTTPSListenPort: 6443}}
		s.BindAddress = netip.MustParseAddr(c.bind)
		if c.advertise != "" {
			s.AdvertiseAddress = netip.MustParseAddr(c.advertise)
		}
		if got := advertised(s, nodeIPs).String(); got != c.told {
			t.Errorf("%s: advertises %s", name, got)
		}
		if got := listenAddress(s); got != c.listen {
			t.Errorf("%s: listens on %s", name, got)
		}
	}
}
