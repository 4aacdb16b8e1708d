package server

import (
	"net"
	"net/netip"
	"slices"
	"strconv"

	"github.com/skerry-io/skerry/internal/config"
)

// advertised is the address behind the Service "kubernetes", which has to be of the family of the first service range.
func advertised(c config.Server, nodeIPs []netip.Addr) netip.Addr {
	if c.AdvertiseAddress.IsValid() {
		return c.AdvertiseAddress
	}
	six := c.ServiceCIDR[0].Addr().Is6()
	if i := slices.IndexFunc(nodeIPs, func(ip netip.Addr) bool { return ip.Is6() == six }); i >= 0 {
		return nodeIPs[i]
	}
	return nodeIPs[0]
}

// listenAddress is where clients reach the server. All IPv4 addresses, the default, mean all of IPv6 too in a cluster that
// has it: there pods and nodes may know no other.
func listenAddress(c config.Server) string {
	address, port := c.BindAddress.String(), strconv.Itoa(c.HTTPSListenPort)
	has6 := slices.ContainsFunc(c.ServiceCIDR, func(p netip.Prefix) bool { return p.Addr().Is6() })
	if has6 && c.BindAddress == netip.IPv4Unspecified() {
		address = ""
	}
	return net.JoinHostPort(address, port)
}
