package etcd

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
)

type stream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s stream) Context() context.Context { return s.ctx }

func TestARefusalForWantOfALeaderTakesItsTime(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want time.Duration
	}{
		"no leader":     {rpctypes.ErrGRPCNoLeader, lingering},
		"another error": {errors.New("x"), 0},
		"a clean end":   {nil, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			err := linger(nil, stream{ctx: t.Context()}, nil, func(any, grpc.ServerStream) error { return c.err })
			if !errors.Is(err, c.err) || time.Since(began) != c.want {
				t.Errorf("%s: %v after %s", name, err, time.Since(began))
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		began := time.Now()
		_ = linger(nil, stream{ctx: ctx}, nil, func(any, grpc.ServerStream) error { return rpctypes.ErrGRPCNoLeader })
		if time.Since(began) != time.Second {
			t.Errorf("a client that went is waited for: %s", time.Since(began))
		}
	})
}
