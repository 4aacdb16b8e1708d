package members

import (
	"encoding/json"
	"net/netip"
	"slices"

	core "k8s.io/api/core/v1"

	"github.com/skerry-io/skerry/agent/network/overlay"
)

// The annotations are flannel's, so that tools for it know them.
const (
	prefix     = "flannel.alpha.coreos.com/"
	annManaged = prefix + "kube-subnet-manager"
	annType    = prefix + "backend-type"
	annData    = prefix + "backend-data"
	annData6   = prefix + "backend-v6-data"
	annAddr    = prefix + "public-ip"
	annAddr6   = prefix + "public-ipv6"
)

func names() []string { return []string{annManaged, annType, annData, annData6, annAddr, annAddr6} }

// write gives the annotations that tell it; a nil value is one that should not be there.
func write(a overlay.Announcement) map[string]*string {
	set := map[string]*string{}
	for _, name := range names() {
		set[name] = nil
	}
	put := func(name, value string) { set[name] = &value }
	put(annManaged, "true")
	put(annType, a.Type)
	data := "null"
	if len(a.Data) > 0 {
		data = string(a.Data)
	}
	for _, addr := range a.Addrs {
		if addr.Is4() {
			put(annAddr, addr.String())
			put(annData, data)
		} else {
			put(annAddr6, addr.String())
			put(annData6, data)
		}
	}
	return set
}

// differs says that a Node does not have exactly these annotations.
func differs(node *core.Node, set map[string]*string) bool {
	for name, want := range set {
		have, there := node.Annotations[name]
		if there != (want != nil) || there && have != *want {
			return true
		}
	}
	return false
}

// read gives what a Node tells; false when that is not (yet) enough to reach its pods.
func read(node *core.Node) (overlay.Peer, bool) {
	peer := overlay.Peer{Node: node.Name, Ranges: ranges(node)}
	peer.Type = node.Annotations[annType]
	for _, name := range []string{annAddr, annAddr6} {
		if addr, err := netip.ParseAddr(node.Annotations[name]); err == nil {
			peer.Addrs = append(peer.Addrs, addr)
		}
	}
	for _, name := range []string{annData, annData6} {
		if text := node.Annotations[name]; len(peer.Data) == 0 && text != "" && text != "null" {
			peer.Data = json.RawMessage(text)
		}
	}
	return peer, len(peer.Ranges) > 0 && len(peer.Addrs) > 0 && node.Annotations[annManaged] == "true"
}

// ranges are those that the controllers gave the Node; what cannot be read is none.
func ranges(node *core.Node) []netip.Prefix {
	var list []netip.Prefix
	for _, text := range node.Spec.PodCIDRs {
		if p, err := netip.ParsePrefix(text); err == nil {
			list = append(list, p.Masked())
		}
	}
	return list
}

// choose are the peers among nodes: those that use the same backend, with the ranges that lie in the cluster's and
// are not this node's own.
func choose(nodes []*core.Node, self, backend string, cluster []netip.Prefix) []overlay.Peer {
	var own []netip.Prefix
	for _, node := range nodes {
		if node.Name == self {
			own = ranges(node)
		}
	}
	var peers []overlay.Peer
	for _, node := range nodes {
		peer, told := read(node)
		if !told || node.Name == self || peer.Type != backend {
			continue
		}
		peer.Ranges = slices.DeleteFunc(peer.Ranges, func(p netip.Prefix) bool {
			inside := slices.ContainsFunc(cluster, func(c netip.Prefix) bool { return c.Contains(p.Addr()) && c.Bits() <= p.Bits() })
			return !inside || slices.ContainsFunc(own, p.Overlaps)
		})
		if len(peer.Ranges) > 0 {
			peers = append(peers, peer)
		}
	}
	slices.SortFunc(peers, func(a, b overlay.Peer) int {
		if a.Node < b.Node {
			return -1
		}
		return 1
	})
	return peers
}
