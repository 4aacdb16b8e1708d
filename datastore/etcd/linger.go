package etcd

import (
	"errors"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
)

// lingering is how long a watch is kept that cannot be served for want of a leader. etcd refuses it at once, and the API server asks at
// once again: for each kind of object, thousands of times a second, with a line in the log for each.
const lingering = 2 * time.Second

// linger ends such a stream later.
func linger(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	err := handler(srv, stream)
	if errors.Is(err, rpctypes.ErrGRPCNoLeader) || rpctypes.ErrorDesc(err) == rpctypes.ErrorDesc(rpctypes.ErrGRPCNoLeader) {
		late := time.NewTimer(lingering)
		defer late.Stop()
		select {
		case <-late.C:
		case <-stream.Context().Done():
		}
	}
	return err
}
