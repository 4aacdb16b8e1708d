package upstream

import (
	"maps"
	"testing"
)

const (
	tests = "go.etcd.io/etcd/tests/v3"

	// Why tests of etcd's do not apply to a store that answers what Kubernetes and etcdctl ask.
	members      = "it stops, adds or asks single members"
	settings     = "it is about a setting of etcd's server"
	transactions = "it is about transactions that Kubernetes does not make"
	options      = "it is about an option that is refused as not implemented"
	inside       = "it looks into the server"
	replaced     = "it belongs to etcd's own cluster, or to etcdctl"
)

// etcd is a suite out of etcd's tests, with the cluster that they ask for.
func etcd(tested Part, without map[string]string) Suite {
	s := Suite{
		Module: tests, Version: "v3.6.15", Sum: "h1:OJU7yxkp4MoJ1CXe+AFZ0RNRyKjlSTNaQkdiBUpXUbE=",
		Parts: []Part{
			tested,
			{From: "framework/integration", Files: []string{"integration.go"}, To: "etcd/framework/integration"},
			{From: "framework/config", Files: []string{"*.go"}, To: "etcd/framework/config"},
			{From: "framework/interfaces", Files: []string{"*.go"}, To: "etcd/framework/interfaces"},
			{From: "framework/testutils", Files: []string{"execute.go", "helpters.go"}, To: "etcd/framework/testutils"},
		},
		Instead: map[string]string{},
		Without: map[string]string{
			"integrationRunner.TestMain": replaced, "integrationRunner.NewCluster": replaced, "tlsInfo": replaced,
			"integrationClient.Txn": replaced, "getOps": replaced,
		},
	}
	for _, name := range []string{"integration", "config", "interfaces", "testutils"} {
		s.Instead[tests+"/framework/"+name] = "etcd/framework/" + name
	}
	maps.Copy(s.Without, without)
	return s
}

// TestEtcdCommon: what etcd asks of itself through a client and through etcdctl alike.
func TestEtcdCommon(t *testing.T) {
	onEach(t, etcd(Part{From: "common", Files: []string{"main_test.go", "kv_test.go", "watch_test.go", "compact_test.go", "status_test.go"}, To: "etcd/common"},
		map[string]string{
			"TestKVGet":         options,
			"TestKVGetNoQuorum": members,
		}), 5, counted("TestKVDelete", "TestCompact", "TestWatch"), ours()...)
}

// TestEtcdClient: what etcd's client asks of a server.
func TestEtcdClient(t *testing.T) {
	onEach(t, etcd(Part{From: "integration/clientv3", To: "etcd/clientv3",
		Files: []string{"kv_test.go", "txn_test.go", "watch_test.go", "watch_fragment_test.go", "namespace_test.go", "mirror_test.go", "util.go"}},
		map[string]string{
			"TestKVPutError": settings, "TestKVLargeRequests": settings,
			"TestKVPutWithIgnoreValue": options, "TestKVPutWithIgnoreLease": options,
			"TestKVPutWithRequireLeader": members, "TestKVGetRetry": members, "TestKVPutFailGetRetry": members, "TestKVGetStoppedServerAndClose": members,
			"TestKVPutStoppedServerAndClose": members, "TestKVPutAtMostOnce": members, "TestKVForLearner": members, "TestBalancerSupportLearner": members,
			"TestTxnError": transactions, "TestTxnSuccess": transactions, "TestTxnCompareRange": transactions, "TestTxnNested": transactions,
			"TestTxnWriteFail": members, "TestTxnReadRetry": members,
			"TestWatchResumeCompacted": members, "TestWatchWithRequireLeader": members, "TestWatchCancelDisconnected": members,
			"TestWatchCancelOnServer":     inside,
			"TestWatchWithProgressNotify": settings, "TestWatchWithProgressNotifyNoEvent": settings, "testWatchWithProgressNotify": settings,
			"TestConfigurableWatchProgressNotifyInterval": settings,
			"TestWatchFragmentEnableWithGRPCLimit":        "it has answers cut up for a client that limits their size; ours come whole",
			"TestWatchResumeAfterDisconnect":              "it skips itself where the server is faster than its cut of the connection",
		}), 37, counted("TestKVRange", "TestKVCompact", "TestWatchMultiWatcher", "TestMirrorSync", "TestNamespaceWatch", "TestWatchRequestProgress").and("TestWatchCancelImmediate"), ours()...)
}

// TestEtcdProtocol: what etcd answers without a client in between.
func TestEtcdProtocol(t *testing.T) {
	numbers := "it expects the number of a watch to be 0"
	onEach(t, etcd(Part{From: "integration", Files: []string{"v3_watch_test.go", "v3_kv_test.go", "v3_grpc_test.go"}, To: "etcd/protocol"},
		map[string]string{
			"TestV3PutRestart": members, "waitForRestart": members, "TestV3WatchProgressOnMemberRestart": members,
			"TestGRPCRequireLeader": members, "TestGRPCStreamRequireLeader": members,
			"TestV3Hash": inside, "TestV3HashKV": inside, "TestV3HashRestart": inside, "TestV3WatchCancellation": inside, "TestV3WatchCloseCancelRace": inside,
			"TestV3NoEventsLostOnCompact": inside,
			"TestV3StorageQuotaAPI":       settings, "TestV3LargeRequests": settings, "TestV3AdditionalGRPCOptions": settings, "TestWatchWithProgressNotify": settings,
			"TestTLSGRPCRejectInsecureClient": settings, "TestTLSGRPCRejectSecureClient": settings, "TestTLSGRPCAcceptSecureAll": settings,
			"TestTLSReloadAtomicReplace": settings, "TestTLSReloadCopy": settings, "TestTLSReloadCopyIPOnly": settings, "testTLSReload": settings,
			"TestV3TxnTooManyOps": transactions, "TestV3TxnRevision": transactions, "TestV3TxnCmpHeaderRev": transactions, "TestV3TxnRangeCompare": transactions,
			"TestV3TxnNestedPath": transactions, "TestV3WatchMultipleEventsTxnSynced": transactions, "TestV3WatchMultipleEventsTxnUnsynced": transactions,
			"TestV3PutIgnoreValue": options, "TestV3PutIgnoreLease": options, "TestV3RangeRequest": options,
			"TestV3PutMissingLease":            "a lease is its seconds here, and so there is each",
			"TestV3WatchMultipleStreamsSynced": numbers, "TestV3WatchMultipleStreamsUnsynced": numbers,
			"TestV3WatchCurrentPutOverlap": "it opens watches of the same keys until 32 writes are done, thousands where a disk is slow; 10 000 answers that wait end a stream",
		}), 21, counted("TestV3DeleteRange", "TestV3WatchProgressWaitsForSync", "TestV3WatchFromCurrentRevision", "TestV3WatchEmptyKey", "TestV3WatchMultipleEventsPutUnsynced", "TestV3WatchWithFilter", "TestV3WatchWithPrevKV"), ours()...)
}
