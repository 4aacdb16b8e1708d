package upstream

import (
	"testing"

	"github.com/skerry-io/skerry/tests/upstream/engines"
)

// TestKubernetes: what the API server asks of etcd. kine's own test of its databases is this one, too.
func TestKubernetes(t *testing.T) {
	onEach(t, Suite{
		Module: "k8s.io/apiserver",
		Parts: []Part{
			{From: "pkg/storage/etcd3", Files: []string{"*.go"}, To: "kubernetes/etcd3"},
			{To: "kubernetes/testserver"},
		},
		Instead: map[string]string{"k8s.io/apiserver/pkg/storage/etcd3/testserver": "kubernetes/testserver"},
		Without: map[string]string{
			"TestProgressNotify": "it has the server report each second; ours does each minute, and when it is asked",
		},
	}, 73, counted("TestTooLargeResourceVersionErrorForWatchList").
		and("TestCompact", "TestCompactConflict", "TestCompactRevision", "TestList", "TestListInconsistentContinuation", "TestWatchFromZero"),
		append(ours(), engines.Etcd)...)
}
