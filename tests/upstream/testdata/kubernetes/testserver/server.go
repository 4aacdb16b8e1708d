// Package testserver is the server that Kubernetes' tests ask for.
package testserver

import (
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	storagetesting "k8s.io/apiserver/pkg/storage/testing"

	"github.com/skerry-io/skerry/tests/upstream/engines"
)

// NewTestConfig is what some tests set numbers in.
func NewTestConfig(testing.TB) *embed.Config { return embed.NewConfig() }

// RunEtcd gives a client of a new store.
func RunEtcd(t testing.TB, _ *embed.Config) *kubernetes.Client {
	t.Helper()
	at := engines.Serve(t)
	client, err := kubernetes.New(clientv3.Config{Endpoints: []string{"unix://" + at.Socket}, DialTimeout: 10 * time.Second, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	at.Kept(client.Client)
	client.KV = storagetesting.NewKVRecorder(client.KV)
	client.Kubernetes = storagetesting.NewKubernetesRecorder(client.Kubernetes)
	return client
}
