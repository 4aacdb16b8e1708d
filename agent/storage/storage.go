package storage

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/skerry-io/skerry/internal/run"
	"github.com/skerry-io/skerry/internal/wire"
)

// Config says where volumes lie and who gives the orders.
type Config struct {
	Dir        string       // of the volumes
	Make       func() error // makes it; nil when it is there, and is Skerry's own
	StateFile  string       // what has to survive the process
	Kubeconfig string       // of the kubelet
	Rows       *run.Rows    // is told of orders, and of volumes that there is trouble with
	Log        *slog.Logger
}

// Run carries out orders until ctx ends. It is ready at once: a pod that needs a volume waits for it.
func Run(ctx context.Context, c Config, ready func()) error {
	config, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig)
	if err != nil {
		return err
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return err
	}
	k, err := open(c)
	if err != nil {
		return fmt.Errorf("keep volumes in %s: %w", c.Dir, err)
	}
	server := &server{http: client, url: config.Host + wire.PathVolumes, rows: c.Rows, log: c.Log}
	ready()
	k.serve(ctx, server)
	return nil
}

// serve has two hands: removing a large volume must not keep a pod waiting for a new one.
func (k *keeper) serve(ctx context.Context, s *server) {
	makes := newHand(func(ctx context.Context, o wire.VolumeOrder) error { return k.make(ctx, o, s.report) }, s, k.log)
	removes := newHand(func(ctx context.Context, o wire.VolumeOrder) error { return k.remove(ctx, o, s.report) }, s, k.log)
	var working sync.WaitGroup
	defer working.Wait()
	working.Go(func() { makes.run(ctx) })
	working.Go(func() { removes.run(ctx) })
	s.follow(ctx, func(list wire.VolumeOrders) {
		toMake, toRemove := k.divide(list.Orders)
		makes.take(toMake)
		removes.take(toRemove)
	})
}
