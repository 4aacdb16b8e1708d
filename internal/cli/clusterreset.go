package cli

import (
	"context"

	"github.com/skerry-io/skerry/internal/config"
	"github.com/skerry-io/skerry/server"
)

// clusterReset is the end of a run that has made a cluster of this server alone.
type clusterReset struct{ kept string }

// Error says what was done.
func (c clusterReset) Error() string {
	return "the cluster is this server alone; what it was lies in " + c.kept
}

// Wanted says that this end is no failure, see run.Wanted.
func (clusterReset) Wanted() bool { return true }

// resetCluster makes a cluster of this server alone; its error says that it is done, or what was in the way.
func resetCluster(ctx context.Context, cfg config.Server, m machine) error {
	ips, err := m.nodeIPs(cfg.ClusterCIDR)
	if err != nil {
		return err
	}
	kept, err := server.ResetCluster(ctx, cfg, ips, m.log)
	if err != nil {
		return err
	}
	m.log.Info("this server is a cluster of its own now", "kept", kept,
		"next", "start it without cluster-reset; delete the Nodes of the other servers; `skerry reset` those machines before they join again")
	return clusterReset{kept}
}
