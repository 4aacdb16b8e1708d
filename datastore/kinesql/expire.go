package kinesql

import (
	"context"
	"time"

	"github.com/k3s-io/kine/pkg/ttl"
)

// expireAgain is the pause before leases are looked after again, when the database was away at the wrong moment.
const expireAgain = 5 * time.Second

// expire takes away what has outlived its lease, until ctx or the connections end. kine gives that up for good when the database does
// not answer at its beginning.
func (s *shared) expire(ctx context.Context) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(s.life, stop)()
	for ctx.Err() == nil {
		ttl.Run(ctx, s)
		select {
		case <-time.After(expireAgain):
		case <-ctx.Done():
		}
	}
}
