package network

import (
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/skerry-io/skerry/internal/host"
)

// guardMetric makes every real route to a pod better than the guard.
const guardMetric = 4096

// Bridge is the interface that pods hang on.
const Bridge = "cni0"

// table is the node's own nftables table, of family inet.
const table = "skerry"

// serviceMetric makes the way to Services better than the guard.
const serviceMetric = 1024

// listenToRouters lets the interfaces with the node's IPv6 addresses go on with what routers advertise, where they do.
func listenToRouters(nodeIPs []netip.Addr) []host.Change {
	var changes []host.Change
	links, err := net.Interfaces()
	if err != nil {
		return nil // nothing is there that could listen
	}
	for _, link := range links {
		key := "net/ipv6/conf/" + link.Name + "/accept_ra"
		text, err := os.ReadFile("/proc/sys/" + key)
		if err != nil || strings.TrimSpace(string(text)) != "1" {
			continue
		}
		addrs, _ := link.Addrs()
		if slices.ContainsFunc(addrs, func(a net.Addr) bool {
			p, err := netip.ParsePrefix(a.String())
			return err == nil && p.Addr().Is6() && slices.Contains(nodeIPs, p.Addr())
		}) {
			changes = append(changes, host.Sysctl{Key: key, Want: "2"})
		}
	}
	return changes
}

// Guard gives the changes after which traffic to pods and Services cannot leave through the uplink, whatever happens
// later, and the kernel forwards between pods. nodeIPs are the addresses that programs of this host speak to Services
// with.
func Guard(pods, services []netip.Prefix, nodeIPs []netip.Addr) []host.Change {
	changes := []host.Change{host.NFTable{Family: "inet", Name: table}}
	var v4, v6 bool
	for _, cidr := range slices.Concat(pods, services) {
		changes = append(changes, host.Route{Prefix: cidr, Type: host.Unreachable, Metric: guardMetric})
		v4, v6 = v4 || cidr.Addr().Is4(), v6 || cidr.Addr().Is6()
	}
	for _, cidr := range services {
		// A program of this host needs a route before kube-proxy's rules get to see its packet.
		same := slices.IndexFunc(nodeIPs, func(ip netip.Addr) bool { return ip.Is4() == cidr.Addr().Is4() })
		if same >= 0 {
			changes = append(changes, host.Route{Prefix: cidr, Type: host.Loopback, Metric: serviceMetric, Source: nodeIPs[same]})
		}
	}
	if v4 {
		changes = append(changes, host.Sysctl{Key: "net.ipv4.ip_forward", Want: "1"})
	}
	if v6 {
		// First this: a host that forwards takes no router's word any more, and loses the default route it has by one.
		changes = append(changes, listenToRouters(nodeIPs)...)
		changes = append(changes, host.Sysctl{Key: "net.ipv6.conf.all.forwarding", Want: "1"})
	}
	// Without this a pod's answer to another pod on the same bridge never meets the rules that hide it behind a Service.
	if _, supported := host.BridgeNFCall(); supported {
		changes = append(changes, host.Sysctl{Key: "net.bridge.bridge-nf-call-iptables", Want: "1"})
		if v6 {
			changes = append(changes, host.Sysctl{Key: "net.bridge.bridge-nf-call-ip6tables", Want: "1"})
		}
	}
	return changes
}
