package datastore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/k3s-io/kine/pkg/server"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"

	"github.com/skerry-io/skerry/datastore/watch"
	"github.com/skerry-io/skerry/internal/fault"
)

const (
	// notifyInterval is for kine's watches, which are not used.
	notifyInterval = time.Minute
	// maxRequest is etcd's request limit with room for the gRPC frame, in bytes.
	maxRequest = 2 << 20
	// longestSocket is how many characters the kernel takes for a unix socket's path.
	longestSocket = 107
	// stopPatience is how long open watches may delay the end of Serve.
	stopPatience = time.Second
)

// Serve answers the etcd v3 API for store on a unix socket until ctx ends. It calls ready when clients can connect.
// The socket is readable by root alone, which is the only access control it has.
func Serve(ctx context.Context, store Store, socket string, ready func()) error {
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("clear the datastore socket: %w", err)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "unix", socket)
	if err != nil && len(socket) > longestSocket {
		return fault.New("listen on the datastore socket %s", socket).Because(err).
			Fix("choose a shorter data-dir: the socket's path has %d characters, and the kernel takes %d", len(socket), longestSocket)
	}
	if err != nil {
		return fmt.Errorf("listen for the API server: %w", err)
	}
	if err := os.Chmod(socket, 0o600); err != nil {
		return errors.Join(fmt.Errorf("protect the datastore socket: %w", err), listener.Close())
	}
	if err := store.Start(ctx); err != nil {
		return errors.Join(fmt.Errorf("start the datastore: %w", err), listener.Close())
	}
	srv, hub := newServer(), watch.New(store)
	register(srv, store, hub)
	ctx, stop := context.WithCancel(ctx)
	ended, listening := make(chan error, 2), make(chan struct{})
	go func() { ended <- hub.Run(ctx, func() { close(listening) }) }()
	defer stop()
	select {
	case <-listening:
	case err := <-ended:
		return errors.Join(fmt.Errorf("watch the datastore: %w", err), listener.Close())
	}
	go func() { ended <- srv.Serve(listener) }()
	ready()
	select {
	case err := <-ended:
		return fmt.Errorf("serve the datastore: %w", err)
	case <-ctx.Done():
		late := time.AfterFunc(stopPatience, srv.Stop)
		defer late.Stop()
		srv.GracefulStop()
		return errors.Join(<-ended, <-ended)
	}
}

// register puts the parts of etcd's API together: all of kine's but the watches and two calls. Kine's own wake up ten times a second
// for each of the API server's hundred streams.
func register(srv *grpc.Server, store Store, hub *watch.Hub) {
	kine := server.New(store, "unix", notifyInterval, EtcdVersion)
	etcdserverpb.RegisterKVServer(srv, keys{kine, store})
	etcdserverpb.RegisterWatchServer(srv, hub)
	etcdserverpb.RegisterLeaseServer(srv, kine)
	etcdserverpb.RegisterClusterServer(srv, kine)
	etcdserverpb.RegisterMaintenanceServer(srv, kine)
	alive := health.NewServer()
	alive.SetServingStatus("", healthpb.HealthCheckResponse_SERVING)
	healthpb.RegisterHealthServer(srv, alive)
}

func newServer() *grpc.Server {
	return grpc.NewServer(
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second}),
		grpc.MaxRecvMsgSize(maxRequest),
		grpc.MaxSendMsgSize(1<<31-1), // a list of everything is one message
	)
}
