package servicelb

import (
	"cmp"
	"net/netip"
	"slices"

	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
)

// Labels that say which nodes serve which Services. Clusters that were k3s have them by its prefix, and mean the same.
const (
	prefixOwn = "skerry.io/"
	prefixK3s = "svccontroller.k3s.cattle.io/"
	labelOnly = "enablelb" // on nodes: when one has it, only those with "true" serve
	labelPool = "lbpool"   // on nodes and Services: a Service with it is served only by nodes with the same value
)

// labelled gives the value of a label under either prefix.
func labelled(labels map[string]string, name string) string {
	return cmp.Or(labels[prefixOwn+name], labels[prefixK3s+name])
}

// choose gives the nodes that may serve a Service, whatever state they are in, by name.
func choose(s *core.Service, all []*core.Node) []*core.Node {
	some := slices.ContainsFunc(all, func(n *core.Node) bool { return labelled(n.Labels, labelOnly) == "true" })
	pool := labelled(s.Labels, labelPool)
	var chosen []*core.Node
	for _, n := range all {
		_, excluded := n.Labels[core.LabelNodeExcludeBalancers]
		if excluded || some && labelled(n.Labels, labelOnly) != "true" || pool != "" && labelled(n.Labels, labelPool) != pool {
			continue
		}
		chosen = append(chosen, n)
	}
	slices.SortFunc(chosen, func(a, b *core.Node) int { return cmp.Compare(a.Name, b.Name) })
	return chosen
}

// serving are the chosen nodes that serve a Service now. While none is well, all count: that they are silent says more about
// the server than about them.
func serving(s *core.Service, chosen []*core.Node, endpoints map[string]bool) []*core.Node {
	well := slices.DeleteFunc(slices.Clone(chosen), func(n *core.Node) bool { return !isReady(n) || n.Spec.Unschedulable })
	if len(well) == 0 {
		well = slices.Clone(chosen)
	}
	if !isLocal(s) {
		return well
	}
	return slices.DeleteFunc(well, func(n *core.Node) bool { return !endpoints[n.Name] })
}

func isReady(n *core.Node) bool {
	return slices.ContainsFunc(n.Status.Conditions, func(c core.NodeCondition) bool {
		return c.Type == core.NodeReady && c.Status == core.ConditionTrue
	})
}

// addressesOf are the addresses of nodes in the families of a Service. Behind a router that translates one into the other,
// packets for the external address arrive with the internal one, so both are there, the external one first.
func addressesOf(s *core.Service, nodes []*core.Node) []netip.Addr {
	var all []netip.Addr
	for _, family := range s.Spec.IPFamilies {
		for _, kind := range []core.NodeAddressType{core.NodeExternalIP, core.NodeInternalIP} {
			for _, n := range nodes {
				for _, ip := range ipsOf(n, kind) {
					if familyOf(ip) == family && !slices.Contains(all, ip) {
						all = append(all, ip)
					}
				}
			}
		}
	}
	return all
}

func ipsOf(n *core.Node, kind core.NodeAddressType) []netip.Addr {
	var all []netip.Addr
	for _, a := range n.Status.Addresses {
		if ip, err := netip.ParseAddr(a.Address); err == nil && a.Type == kind {
			all = append(all, ip.Unmap())
		}
	}
	return all
}

func familyOf(ip netip.Addr) core.IPFamily {
	if ip.Is4() {
		return core.IPv4Protocol
	}
	return core.IPv6Protocol
}

// nodesWithEndpoints gives, by Service, the nodes on which an endpoint of it is ready.
func nodesWithEndpoints(all []*discovery.EndpointSlice) map[string]map[string]bool {
	found := map[string]map[string]bool{}
	for _, slice := range all {
		of := slice.Namespace + "/" + slice.Labels[discovery.LabelServiceName]
		if found[of] == nil {
			found[of] = map[string]bool{}
		}
		for _, e := range slice.Endpoints {
			found[of][*e.NodeName] = true
		}
	}
	return found
}
