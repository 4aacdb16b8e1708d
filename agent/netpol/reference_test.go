package netpol

import (
	"net/netip"
	"slices"
	"strings"

	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// allowed is what NetworkPolicy means, said as the API's documentation says it and without anything that the compiler uses: may
// a connection from an address to a port of a pod's address come about, when both ends' nodes are this one?
func allowed(c cluster, from netip.Addr, to *pod, addr netip.Addr, protocol string, port uint16) bool {
	var source *pod
	for _, p := range c.pods {
		if slices.Contains(p.addresses, from) {
			source = p
		}
	}
	if source != nil && source == to {
		return true
	}
	end := port
	if source != nil && source.local && !opened(c, source, networking.PolicyTypeEgress, to, addr, to, protocol, end) {
		return false
	}
	return to == nil || !to.local || opened(c, to, networking.PolicyTypeIngress, source, from, to, protocol, end)
}

// opened says whether the policies of a subject let it talk with the other side. server is the pod whose port it is.
func opened(c cluster, subject *pod, kind networking.PolicyType, other *pod, addr netip.Addr, server *pod, protocol string, port uint16) bool {
	isolated := false
	for _, n := range c.policies {
		if n.Namespace != subject.namespace || !picks(&n.Spec.PodSelector, subject.labels) {
			continue
		}
		types := n.Spec.PolicyTypes
		if len(types) == 0 {
			types = []networking.PolicyType{networking.PolicyTypeIngress}
			if len(n.Spec.Egress) > 0 {
				types = append(types, networking.PolicyTypeEgress)
			}
		}
		if !slices.Contains(types, kind) {
			continue
		}
		isolated = true
		if kind == networking.PolicyTypeIngress {
			for _, r := range n.Spec.Ingress {
				if isPeer(c, n.Namespace, r.From, other, addr) && isPort(r.Ports, server, protocol, port) {
					return true
				}
			}
			continue
		}
		for _, r := range n.Spec.Egress {
			if isPeer(c, n.Namespace, r.To, other, addr) && isPort(r.Ports, server, protocol, port) {
				return true
			}
		}
	}
	return !isolated
}

func picks(s *meta.LabelSelector, set labels.Set) bool {
	selector, err := meta.LabelSelectorAsSelector(s)
	return err == nil && selector.Matches(set)
}

func isPeer(c cluster, namespace string, peers []networking.NetworkPolicyPeer, p *pod, addr netip.Addr) bool {
	if len(peers) == 0 {
		return true
	}
	for _, peer := range peers {
		if b := peer.IPBlock; b != nil {
			in := peer.PodSelector == nil && peer.NamespaceSelector == nil && contains(b.CIDR, addr)
			for _, hole := range b.Except {
				if _, err := netip.ParsePrefix(hole); err != nil || contains(hole, addr) {
					in = false
				}
			}
			if in {
				return true
			}
			continue
		}
		if p == nil || peer.PodSelector == nil && peer.NamespaceSelector == nil {
			continue
		}
		if peer.NamespaceSelector == nil && p.namespace != namespace {
			continue
		}
		if peer.NamespaceSelector != nil {
			set, known := c.namespaces[p.namespace]
			if !known || !picks(peer.NamespaceSelector, set) {
				continue
			}
		}
		if peer.PodSelector == nil || picks(peer.PodSelector, p.labels) {
			return true
		}
	}
	return false
}

func contains(cidr string, addr netip.Addr) bool {
	p, err := netip.ParsePrefix(cidr)
	return err == nil && p.Contains(addr)
}

func isPort(ports []networking.NetworkPolicyPort, server *pod, protocol string, port uint16) bool {
	if len(ports) == 0 {
		return true
	}
	for _, p := range ports {
		want := core.ProtocolTCP
		if p.Protocol != nil {
			want = *p.Protocol
		}
		if want != core.ProtocolTCP && want != core.ProtocolUDP && want != core.ProtocolSCTP || strings.ToLower(string(want)) != protocol {
			continue
		}
		switch {
		case p.Port == nil:
			if p.EndPort == nil {
				return true
			}
		case p.Port.Type == intstr.String:
			if server == nil || p.EndPort != nil {
				continue
			}
			for _, n := range server.ports {
				if n.name == p.Port.StrVal && n.protocol == protocol && n.number == port {
					return true
				}
			}
		default:
			last := p.Port.IntVal
			if p.EndPort != nil {
				last = *p.EndPort
			}
			if int32(port) >= p.Port.IntVal && int32(port) <= last && p.Port.IntVal > 0 && last < 65536 {
				return true
			}
		}
	}
	return false
}
