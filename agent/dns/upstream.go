package dns

import (
	"bytes"
	"net/netip"
	"os"
	"slices"
)

// upstreamsMost is how many CoreDNS takes.
const upstreamsMost = 15

// upstreams are the DNS servers that a resolv.conf names. This process is in the host's network, so a server on the
// loopback is as good as any. own are the addresses of the cluster's DNS itself.
func upstreams(file string, port uint16, own []netip.Addr) []netip.AddrPort {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil // no file, no servers; when one comes it is read again
	}
	var all []netip.AddrPort
	for line := range bytes.Lines(text) {
		words := bytes.Fields(line)
		if len(words) < 2 || string(words[0]) != "nameserver" {
			continue
		}
		ip, err := netip.ParseAddr(string(words[1]))
		at := netip.AddrPortFrom(ip.Unmap(), port)
		if err != nil || slices.Contains(own, at.Addr()) || slices.Contains(all, at) || len(all) == upstreamsMost {
			continue
		}
		all = append(all, at)
	}
	return all
}
