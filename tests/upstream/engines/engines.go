package engines

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/namespace"

	"github.com/skerry-io/skerry/datastore"
	"github.com/skerry-io/skerry/datastore/etcd"
	"github.com/skerry-io/skerry/datastore/kinesql"
	"github.com/skerry-io/skerry/datastore/local"
	"github.com/skerry-io/skerry/internal/config"
	"github.com/skerry-io/skerry/tests/certtest"
)

// Variable names the engine to a test's process: one of these, or the datastore-endpoint of a server of databases.
const (
	Variable = "SKERRY_ENGINE"
	Disk     = "disk"
	Memory   = "memory" // all keys of the test are of the kind that is kept in memory
	Etcd     = "etcd"
)

// shortLived begins the keys that the engine of one server keeps in memory.
const shortLived = "/registry/leases/"

// Served is a store that answers etcd's API.
type Served struct {
	// Socket is the path of its unix socket.
	Socket string
	// Prefix is what Kept puts before all keys.
	Prefix string
}

// Kept has a client's keys kept where the engine under test keeps them.
func (s Served) Kept(c *clientv3.Client) {
	if s.Prefix != "" {
		c.KV, c.Watcher, c.Lease = namespace.NewKV(c.KV, s.Prefix), namespace.NewWatcher(c.Watcher, s.Prefix), namespace.NewLease(c.Lease, s.Prefix)
	}
}

// Serve runs a new store until the test ends.
func Serve(t testing.TB) Served {
	t.Helper()
	switch os.Getenv(Variable) {
	case Etcd:
		return member(t)
	case Memory:
		return Served{Socket: serve(t), Prefix: shortLived}
	}
	return Served{Socket: serve(t)}
}

func serve(t testing.TB) (socket string) {
	t.Helper()
	store := opened(t)
	socket = filepath.Join(folder(t), "s")
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	until(t, stop, func(ready func()) error { return datastore.Serve(ctx, store, socket, ready) })
	return socket
}

// until runs something to the end of the test, and returns when it is ready.
func until(t testing.TB, stop func(), run func(ready func()) error) {
	t.Helper()
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- run(func() { close(ready) }) }()
	select {
	case <-ready:
	case err := <-ended:
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// folder is a directory whose path is short enough for a socket in it.
func folder(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "e")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// member is a cluster of one.
func member(t testing.TB) Served {
	t.Helper()
	c := etcd.Config{Dir: folder(t), Name: "under-test", Address: address(t), Log: slog.New(slog.DiscardHandler)}
	c.Peer.CAFile, c.Peer.CertFile, c.Peer.KeyFile = certtest.New(t).Issue(t, c.Address)
	c.Client = c.Peer
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	m, err := etcd.Start(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	until(t, stop, func(ready func()) error { return m.Run(ctx, ready) })
	return Served{Socket: strings.TrimPrefix(m.Endpoint().URLs[0], "unix://")}
}

// address is one of this machine that no other member has: it listens on fixed ports.
func address(t testing.TB) netip.Addr {
	t.Helper()
	for range 100 {
		at := netip.AddrFrom4([4]byte{127, byte(64 + rand.IntN(128)), byte(rand.IntN(256)), byte(1 + rand.IntN(254))})
		listener, err := net.Listen("tcp", netip.AddrPortFrom(at, etcd.PeerPort).String())
		if err == nil {
			_ = listener.Close()
			return at
		}
	}
	t.Fatal("no address is free")
	return netip.Addr{}
}

func opened(t testing.TB) datastore.Store {
	t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	store, done, err := open(ctx, t)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		done()
	})
	return store
}

func open(ctx context.Context, t testing.TB) (datastore.Store, func(), error) {
	t.Helper()
	engine, log := os.Getenv(Variable), slog.New(slog.DiscardHandler)
	switch engine {
	case Disk, Memory:
		return local.Open(ctx, local.Config{Dir: folder(t), Log: log})
	case "":
		t.Skipf("%s does not say which engine is under test", Variable)
	}
	e, err := config.ParseEndpoint(config.Secret(engine + name()))
	if err != nil {
		t.Fatal(err)
	}
	return kinesql.Connect(ctx, kinesql.Config{Endpoint: e, Log: log})
}

// name is one for a database that no other test has.
func name() string { return fmt.Sprintf("u%d_%d", os.Getpid(), time.Now().UnixNano()) }
