package agent

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/skerry-io/skerry/agent/dns"
	"github.com/skerry-io/skerry/internal/wire"
)

// dns answers the questions of pods on this node. kube-proxy leads them from the Service's address to the node's own.
func (n *Node) dns(ctx context.Context, ready func()) error {
	cluster := n.id.Cluster()
	if slices.Contains(cluster.Disabled, wire.ComponentDNS) {
		return idle(ctx, ready)
	}
	api, err := clientcmd.BuildConfigFromFlags("", n.id.KubeletConfig())
	if err != nil {
		return fmt.Errorf("read the kubelet's kubeconfig: %w", err)
	}
	api.ContentType = "application/vnd.kubernetes.protobuf"
	c := dns.Config{
		API:    api,
		Node:   n.id.Name(),
		Domain: cluster.ClusterDomain,
		Own:    cluster.ClusterDNS,
		Askers: cluster.ClusterCIDR,
		ResolvConf: func() string {
			path, _ := resolvConf(n.config.ResolvConf)
			return path
		},
		Rows: &n.told.dns,
		Log:  n.log,
	}
	for _, ip := range n.counting(n.ips) {
		c.Listen = append(c.Listen, netip.AddrPortFrom(ip, wire.DNSPort))
	}
	return dns.Run(ctx, c, ready)
}
