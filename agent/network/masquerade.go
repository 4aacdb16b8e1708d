package network

import (
	"context"
	"fmt"
	"net/netip"

	"sigs.k8s.io/knftables"
)

// masquerade gives packets that pods send out of the cluster the address of the node. One rule serves all pods, where
// the bridge plugin would add a chain for each and call nft at every pod's start.
func masquerade(ctx context.Context, pods []netip.Prefix) error {
	nft, err := knftables.New(knftables.InetFamily, table)
	if err != nil {
		return fmt.Errorf("reach nftables: %w", err)
	}
	tx := nft.NewTransaction()
	const chain = "postrouting"
	tx.Add(&knftables.Table{Comment: knftables.PtrTo("masquerades what pods send out of the cluster")})
	tx.Add(&knftables.Chain{Name: chain, Type: knftables.PtrTo(knftables.NATType), Hook: knftables.PtrTo(knftables.PostroutingHook),
		Priority: knftables.PtrTo(knftables.SNATPriority)})
	tx.Flush(&knftables.Chain{Name: chain})
	for _, cidr := range pods {
		family, multicast := "ip", "224.0.0.0/4"
		if cidr.Addr().Is6() {
			family, multicast = "ip6", "ff00::/8"
		}
		tx.Add(&knftables.Rule{Chain: chain, Rule: knftables.Concat(family, "saddr", cidr, family, "daddr !=", "{", cidr, ",", multicast, "}", "masquerade fully-random")})
	}
	if err := nft.Run(ctx, tx); err != nil {
		return fmt.Errorf("set up masquerading: %w", err)
	}
	return nil
}
