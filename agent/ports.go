package agent

import (
	"net/netip"

	"github.com/skerry-io/skerry/internal/config"
	"github.com/skerry-io/skerry/internal/host"
)

// The kubelet's ports: its API, and its own health on the loopback.
const (
	kubeletPort        = 10250
	kubeletHealthzPort = 10248
)

// PortsFree says which of the node's ports someone else holds. The kubelet would run on without the one and end over
// the other, both without a word about the cause.
func PortsFree(c config.Node) error {
	loopback := netip.MustParseAddr("127.0.0.1")
	for _, port := range []netip.AddrPort{
		netip.AddrPortFrom(loopback, uint16(c.LBServerPort)),
		netip.AddrPortFrom(netip.IPv4Unspecified(), kubeletPort),
		netip.AddrPortFrom(loopback, kubeletHealthzPort),
	} {
		if err := host.PortFree(port); err != nil {
			return err
		}
	}
	return nil
}
