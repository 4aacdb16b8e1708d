package datastore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/k3s-io/kine/pkg/server"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"github.com/skerry-io/skerry/internal/fault"
)

const (
	// notifyInterval is how often an idle watch learns the current revision, as etcd does it; the API server needs
	// this to answer consistent reads from its cache.
	notifyInterval = 5 * time.Second
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
	srv := newServer()
	server.New(store, "unix", notifyInterval, EtcdVersion).Register(srv)
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(listener) }()
	ready()
	select {
	case err := <-ended:
		return fmt.Errorf("serve the datastore: %w", err)
	case <-ctx.Done():
		late := time.AfterFunc(stopPatience, srv.Stop)
		defer late.Stop()
		srv.GracefulStop()
		return <-ended
	}
}

func newServer() *grpc.Server {
	return grpc.NewServer(
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second}),
		grpc.MaxRecvMsgSize(maxRequest),
		grpc.MaxSendMsgSize(1<<31-1), // a list of everything is one message
	)
}
