package common

import (
	"github.com/skerry-io/skerry/tests/upstream/etcd/framework/config"
	"github.com/skerry-io/skerry/tests/upstream/etcd/framework/integration"
)

func init() {
	testRunner = integration.NewIntegrationRunner()
	clusterTestCases = func() []testCase { return []testCase{{name: "store", config: config.ClusterConfig{ClusterSize: 1}}} }
}
