package config

import (
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/skerry-io/skerry/internal/fault"
)

// Validate checks the settings of a server.
func (s Server) Validate() error {
	var p fault.Problems
	s.Node.validate(&p)
	s.validateRanges(&p)
	s.validateAddresses(&p)
	s.validateDNS(&p)
	s.validatePool(&p)
	s.validatePorts(&p)
	s.validateNames(&p)
	s.validateDatastore(&p)
	s.validateEndpoint(&p)
	s.validateServers(&p)
	s.validateSchedule(&p)
	s.validateCertificates(&p)
	validateAbs("write-kubeconfig", s.WriteKubeconfig, &p)
	validateArgs("kube-apiserver-arg", s.KubeAPIServerArg, &p)
	validateArgs("kube-controller-manager-arg", s.KubeControllerManagerArg, &p)
	validateArgs("kube-scheduler-arg", s.KubeSchedulerArg, &p)
	if s.WriteKubeconfig == "" || filepath.Clean(s.WriteKubeconfig) == "/" {
		p.Add("write-kubeconfig", "write-kubeconfig names no file").Fix("remove the setting to use %s", DefaultKubeconfig)
	}
	return p.Err()
}

const (
	// longestCommitInterval is more than anybody can want to lose.
	longestCommitInterval = time.Minute
	// shortestSnapshotInterval keeps a slip of the pen from writing all day.
	shortestSnapshotInterval = time.Minute
)

func (s Server) validateDatastore(p *fault.Problems) {
	if s.DatastoreCommitInterval < 0 || s.DatastoreCommitInterval > longestCommitInterval {
		p.Add("datastore-commit-interval", "datastore-commit-interval is %s, and may be 0s to %s", s.DatastoreCommitInterval, longestCommitInterval).
			Fix("give how much may be lost, for example 1s")
	}
	if n := s.DatastoreSnapshotInterval; n != 0 && n < shortestSnapshotInterval {
		p.Add("datastore-snapshot-interval", "datastore-snapshot-interval is %s, and may be %s or more, or 0s for no snapshots", n, shortestSnapshotInterval).
			Fix("give a time that wears out no flash, for example 12h")
	}
	if s.DatastoreSnapshotRetention < 1 {
		p.Add("datastore-snapshot-retention", "datastore-snapshot-retention is %d, and at least one copy is kept", s.DatastoreSnapshotRetention).
			Fix("give 1 or more, or switch snapshots off by datastore-snapshot-interval: 0s")
	}
}

const (
	// shortestCertificates leaves a node that is in reach of its server the time to ask for new ones.
	shortestCertificates = 30 * time.Second
	// longestCertificates is the life of the authority that signs them.
	longestCertificates = 10 * 365 * 24 * time.Hour
)

func (s Server) validateCertificates(p *fault.Problems) {
	if n := s.NodeCertificateLifetime; n < shortestCertificates || n > longestCertificates {
		p.Add("node-certificate-lifetime", "node-certificate-lifetime is %s, and may be %s to %s", n, shortestCertificates, longestCertificates).
			Fix("give how long a stolen node may be believed, for example 168h; 8760h is a year")
	}
}

// limits are the prefix lengths that Kubernetes accepts and that leave room to work in.
type limits struct{ min, max int }

// podLimits: each node gets a /24 (IPv6: /64) of the range, and the allocator counts at most 2^16 of them.
func podLimits(prefix netip.Prefix) limits {
	if prefix.Addr().Is4() {
		return limits{min: 8, max: 24}
	}
	return limits{min: 48, max: 64}
}

// serviceLimits: the API server refuses more than 2^20 addresses, and the DNS service needs the tenth.
func serviceLimits(prefix netip.Prefix) limits {
	if prefix.Addr().Is4() {
		return limits{min: 12, max: 28}
	}
	return limits{min: 108, max: 124}
}

func (s Server) validateRanges(p *fault.Problems) {
	validateRangeList("cluster-cidr", s.ClusterCIDR, podLimits, "10.42.0.0/16", p)
	validateRangeList("service-cidr", s.ServiceCIDR, serviceLimits, "10.43.0.0/16", p)
	for _, pods := range s.ClusterCIDR {
		for _, services := range s.ServiceCIDR {
			if pods.Overlaps(services) {
				p.Add("cluster-cidr", "cluster-cidr %s overlaps service-cidr %s", pods, services).
					Fix("choose a range outside it, for example 10.42.0.0/16 for pods and 10.43.0.0/16 for services")
			}
		}
	}
	if !p.Has("cluster-cidr") && !p.Has("service-cidr") && families(s.ClusterCIDR) != families(s.ServiceCIDR) {
		p.Add("service-cidr", "service-cidr and cluster-cidr are of different IP families").Fix("give both an IPv4 range, an IPv6 range, or one of each")
	}
}

func validateRangeList(key string, list []netip.Prefix, limitsOf func(netip.Prefix) limits, example string, p *fault.Problems) {
	if len(list) == 0 {
		p.Add(key, "%s is empty", key).Fix("remove the setting, or give a range, for example %s", example)
	}
	for _, prefix := range list {
		limit := limitsOf(prefix)
		switch {
		case prefix.Masked() != prefix:
			p.Add(key, "%s %s has address bits behind its mask", key, prefix).Fix("write %s", prefix.Masked())
		case prefix.Bits() > limit.max:
			p.Add(key, "%s %s is too small", key, prefix).Fix("use a /%d or larger, for example %s", limit.max, example)
		case prefix.Bits() < limit.min:
			p.Add(key, "%s %s is too large for Kubernetes", key, prefix).Fix("use a /%d or smaller, for example %s", limit.min, example)
		}
	}
	validateFamilies(key, familiesOfPrefixes(list), p)
}

// validateAddresses keeps the node out of the ranges that pods and services live in.
func (s Server) validateAddresses(p *fault.Problems) {
	if s.AdvertiseAddress.IsValid() {
		validateNodeIPs("advertise-address", []netip.Addr{s.AdvertiseAddress}, p)
	}
	s.validateOutside("node-ip", s.NodeIP, p)
	s.validateOutside("advertise-address", []netip.Addr{s.AdvertiseAddress}, p)
}

func (s Server) validateOutside(key string, addrs []netip.Addr, p *fault.Problems) {
	for _, addr := range addrs {
		if name, prefix, inside := s.rangeOf(addr); inside {
			p.Add(key, "%s %s lies in %s %s", key, addr, name, prefix).Fix("choose another %s that no host uses", name)
		}
	}
}

func (s Server) rangeOf(addr netip.Addr) (key string, prefix netip.Prefix, found bool) {
	for _, prefix := range s.ClusterCIDR {
		if prefix.Contains(addr) {
			return "cluster-cidr", prefix, true
		}
	}
	for _, prefix := range s.ServiceCIDR {
		if prefix.Contains(addr) {
			return "service-cidr", prefix, true
		}
	}
	return "", netip.Prefix{}, false
}

func (s Server) validateDNS(p *fault.Problems) {
	for _, dns := range s.ClusterDNS {
		if p.Has("service-cidr") {
			break // nothing to hold it against
		}
		i := slices.IndexFunc(s.ServiceCIDR, func(prefix netip.Prefix) bool { return prefix.Contains(dns) })
		if i < 0 {
			p.Add("cluster-dns", "cluster-dns %s is not an address of service-cidr", dns).Fix("remove the setting to use the tenth address of service-cidr")
			continue
		}
		if dns == s.ServiceCIDR[i].Addr() || dns == nth(s.ServiceCIDR[i], 1) {
			p.Add("cluster-dns", "cluster-dns %s is taken: the first addresses of service-cidr are the network's and the API server's", dns).
				Fix("remove the setting to use the tenth")
		}
	}
	if wrong := validation.IsDNS1123Subdomain(s.ClusterDomain); len(wrong) > 0 {
		p.Add("cluster-domain", "cluster-domain %q is not a DNS domain", s.ClusterDomain).Fix("write one like cluster.local")
	}
}

// validatePool keeps the addresses that Services are announced by apart from all others that mean something here.
func (s Server) validatePool(p *fault.Problems) {
	const key = "servicelb-pool"
	for i, pool := range s.ServiceLBPool {
		if pool.First.IsUnspecified() || pool.First.IsLoopback() || pool.Last.IsMulticast() || pool.First.IsLinkLocalUnicast() {
			p.Add(key, "%s %s holds addresses that another host could not reach", key, pool).Fix("give addresses of the network that the nodes are in, which nothing else uses")
			continue
		}
		for _, other := range s.ServiceLBPool[:i] {
			if pool.Overlaps(other) {
				p.Add(key, "%s %s overlaps %s", key, pool, other).Fix("write each address once")
			}
		}
		for name, list := range map[string][]netip.Prefix{"cluster-cidr": s.ClusterCIDR, "service-cidr": s.ServiceCIDR} {
			for _, cidr := range list {
				if pool.Overlaps(rangeOfPrefix(cidr)) {
					p.Add(key, "%s %s overlaps %s %s", key, pool, name, cidr).Fix("give addresses of the network that the nodes are in, which nothing else uses")
				}
			}
		}
		for _, ip := range append(slices.Clone(s.NodeIP), s.AdvertiseAddress) {
			if ip.IsValid() && pool.Contains(ip) {
				p.Add(key, "%s %s holds %s, an address of this node", key, pool, ip).Fix("leave the addresses of nodes out of it")
			}
		}
	}
}

func (s Server) validateNames(p *fault.Problems) {
	for _, name := range s.TLSSAN {
		if _, err := netip.ParseAddr(name); err == nil {
			continue
		}
		if wrong := validation.IsDNS1123Subdomain(strings.ToLower(strings.TrimPrefix(name, "*."))); len(wrong) > 0 {
			p.Add("tls-san", "tls-san %q is neither a DNS name nor an IP address", name).Fix("write the name alone, without scheme and port")
		}
	}
}

// takenPort is a port of the node's own components, whatever the settings.
type takenPort struct {
	port  int
	taker string
}

func takenPorts() []takenPort {
	return []takenPort{
		{10248, "the kubelet"}, {10249, "kube-proxy"}, {10250, "the kubelet"}, {10256, "kube-proxy"},
		{10257, "kube-controller-manager"}, {10259, "kube-scheduler"},
	}
}

func (s Server) validatePorts(p *fault.Problems) {
	validatePort("https-listen-port", s.HTTPSListenPort, p)
	if s.HTTPSListenPort == s.LBServerPort {
		p.Add("lb-server-port", "lb-server-port and https-listen-port are both %d", s.LBServerPort).
			Fix("give them different ports; 6444 and 6443 are usual")
	}
	s.validateFree("https-listen-port", s.HTTPSListenPort, p)
	s.validateFree("lb-server-port", s.LBServerPort, p)
	for _, taken := range takenPorts() {
		if s.ServiceNodePortRange.Contains(taken.port) {
			p.Add("service-node-port-range", "service-node-port-range %s holds port %d of %s", s.ServiceNodePortRange, taken.port, taken.taker).
				Fix("choose a range outside it; 30000-32767 is usual")
			break
		}
	}
}

func (s Server) validateFree(key string, port int, p *fault.Problems) {
	validateTaken(key, port, p)
	if s.ServiceNodePortRange.Contains(port) {
		p.Add(key, "%s %d lies in service-node-port-range %s", key, port, s.ServiceNodePortRange).Fix("choose a port outside it")
	}
}

func validateTaken(key string, port int, p *fault.Problems) {
	for _, taken := range takenPorts() {
		if taken.port == port {
			p.Add(key, "%s %d is the port of %s", key, port, taken.taker).Fix("choose another")
		}
	}
}

func validatePort(key string, port int, p *fault.Problems) {
	if port < 1 || port > 65535 {
		p.Add(key, "%s %d is not a port", key, port).Fix("write a number from 1 to 65535")
	}
}

// validateNodeIPs refuses addresses that no other host could reach, and more than one of a family.
func validateNodeIPs(key string, addrs []netip.Addr, p *fault.Problems) {
	for _, addr := range addrs {
		if addr.IsUnspecified() || addr.IsLoopback() || addr.IsMulticast() {
			p.Add(key, "%s %s is no address that another host could reach", key, addr).Fix("write an address of a network interface")
		}
	}
	validateFamilies(key, addrs, p)
}

func validateFamilies(key string, addrs []netip.Addr, p *fault.Problems) {
	var four, six int
	for _, addr := range addrs {
		if addr.Is4() {
			four++
		} else {
			six++
		}
	}
	if four > 1 || six > 1 {
		p.Add(key, "%s has %d of one IP family", key, max(four, six)).Fix("give at most one IPv4 and one IPv6")
	}
}

func familiesOfPrefixes(list []netip.Prefix) []netip.Addr {
	addrs := make([]netip.Addr, len(list))
	for i, prefix := range list {
		addrs[i] = prefix.Addr()
	}
	return addrs
}

// families tells which IP families are present, ignoring order.
func families(list []netip.Prefix) (f struct{ four, six bool }) {
	for _, prefix := range list {
		f.four = f.four || prefix.Addr().Is4()
		f.six = f.six || prefix.Addr().Is6()
	}
	return f
}
