// Package integration is the cluster that etcd's tests ask for: each of its members is a client of one store.
package integration

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/skerry-io/skerry/tests/upstream/engines"
	"github.com/skerry-io/skerry/tests/upstream/etcd/framework/config"
)

const (
	// RequestWaitTimeout is how long a test waits for an answer.
	RequestWaitTimeout = 5 * time.Second
	// ThroughProxy says that nothing of etcd's own is between client and store.
	ThroughProxy = false
)

// ClusterConfig is what tests ask for; how the store is kept is not theirs to say.
type ClusterConfig struct {
	Size                                               int
	UseBridge                                          bool
	MaxRequestBytes                                    uint // it is that of the store
	ClientMaxCallSendMsgSize, ClientMaxCallRecvMsgSize int
}

// Cluster is one store.
type Cluster struct {
	Members []*Member
	served  engines.Served
}

// Member is a client of the store, on a way of its own.
type Member struct {
	Client *clientv3.Client
	bridge *Bridge
}

// BeforeTest has nothing to do.
func BeforeTest(testing.TB) {}

// NewCluster runs a store.
func NewCluster(t testing.TB, c *ClusterConfig) *Cluster {
	t.Helper()
	all := &Cluster{served: engines.Serve(t)}
	for range max(c.Size, 1) {
		all.Members = append(all.Members, all.member(t, c))
	}
	return all
}

func (c *Cluster) member(t testing.TB, asked *ClusterConfig) *Member {
	t.Helper()
	m := &Member{}
	to := c.served.Socket
	if asked.UseBridge {
		dir, err := os.MkdirTemp("", "b")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		to = filepath.Join(dir, "s")
		m.bridge = newBridge(t, to, c.served.Socket)
	}
	var err error
	m.Client, err = clientv3.New(clientv3.Config{Endpoints: []string{"unix://" + to}, DialTimeout: 5 * time.Second, Logger: zap.NewNop(),
		MaxCallSendMsgSize: asked.ClientMaxCallSendMsgSize, MaxCallRecvMsgSize: asked.ClientMaxCallRecvMsgSize})
	if err != nil {
		t.Fatal(err)
	}
	c.served.Kept(m.Client)
	t.Cleanup(func() { _ = m.Client.Close() })
	return m
}

// Bridge is the way to the store.
func (m *Member) Bridge() *Bridge { return m.bridge }

// Stop is for tests that do not apply.
func (m *Member) Stop(t testing.TB) {
	t.Fatal("a member cannot be stopped here; name the test with this reason")
}

// Restart is for tests that do not apply.
func (m *Member) Restart(t testing.TB) error {
	t.Fatal("a member cannot be restarted here; name the test with this reason")
	return nil
}

// Terminate happens at the end of the test.
func (c *Cluster) Terminate(testing.TB) {}

// TakeClient gives a client to the test, which closes it.
func (c *Cluster) TakeClient(int) {}

// Client is that of a member.
func (c *Cluster) Client(i int) *clientv3.Client { return c.Members[i].Client }

// RandClient is that of any member.
func (c *Cluster) RandClient() *clientv3.Client { return c.Client(rand.IntN(len(c.Members))) }

// ClusterClient is that of any member.
func (c *Cluster) ClusterClient(testing.TB, ...config.ClientOption) (*clientv3.Client, error) {
	return c.RandClient(), nil
}

// Endpoints are those of the store.
func (c *Cluster) Endpoints() []string { return c.Client(0).Endpoints() }

// WaitLeader gives the member that leads; any does.
func (c *Cluster) WaitLeader(testing.TB) int { return 0 }

// GRPCAPI is the protocol itself.
type GRPCAPI struct {
	KV    etcdserverpb.KVClient
	Lease etcdserverpb.LeaseClient
	Watch etcdserverpb.WatchClient
}

// ToGRPC gives the protocol on a client's connection.
func ToGRPC(c *clientv3.Client) GRPCAPI {
	at := c.ActiveConnection()
	return GRPCAPI{etcdserverpb.NewKVClient(at), etcdserverpb.NewLeaseClient(at), etcdserverpb.NewWatchClient(at)}
}

// Txn is not asked for by a test that applies.
func (c integrationClient) Txn(context.Context, []string, []string, []string, config.TxnOptions) (*clientv3.TxnResponse, error) {
	panic("transactions in words are etcdctl's")
}
