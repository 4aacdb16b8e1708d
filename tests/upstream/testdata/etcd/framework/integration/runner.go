package integration

import (
	"context"
	"os"
	"testing"

	"github.com/skerry-io/skerry/tests/upstream/etcd/framework/config"
	intf "github.com/skerry-io/skerry/tests/upstream/etcd/framework/interfaces"
)

// TestMain runs the tests.
func (e integrationRunner) TestMain(m *testing.M) { os.Exit(m.Run()) }

// NewCluster runs a store.
func (e integrationRunner) NewCluster(ctx context.Context, t testing.TB, opts ...config.ClusterOption) intf.Cluster {
	t.Helper()
	return &integrationCluster{Cluster: NewCluster(t, &ClusterConfig{Size: config.NewClusterConfig(opts...).ClusterSize}), t: t, ctx: ctx}
}
