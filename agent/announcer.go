package agent

import (
	"context"
	"slices"

	"github.com/skerry-io/skerry/agent/servicelb"
	"github.com/skerry-io/skerry/internal/wire"
)

// servicelb announces this machine, then addresses of Services, unless the cluster does without.
func (n *Node) servicelb(ctx context.Context, ready func()) error {
	if err := servicelb.Greet(n.ips); err != nil {
		n.log.Debug("this machine could not say where it is", "err", err)
	}
	if slices.Contains(n.id.Cluster().Disabled, wire.ComponentServiceLB) {
		return idle(ctx, ready)
	}
	return servicelb.Run(ctx, servicelb.Config{
		Kubeconfig: n.id.KubeProxyConfig(),
		Node:       n.id.Name(),
		Apply:      n.ledger.Apply,
		Rows:       &n.told.announcer,
		Log:        n.log,
	}, ready)
}
