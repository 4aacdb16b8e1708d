package local

import (
	"context"
	"sync"
	"time"

	"github.com/skerry-io/skerry/datastore/engine"
	"github.com/skerry-io/skerry/datastore/snapshots"
)

const (
	// soon is when the first snapshot of all is made: until then damage has nothing to fall back to.
	soon = time.Minute
	// settled is how long a start is left alone before another one, and how long after the first of all the second is made: a
	// new cluster changes much.
	settled = 10 * time.Minute
	// retry is when a snapshot that could not be made is tried again.
	retry = 10 * time.Minute
)

// keeper makes a snapshot each interval in which something changed.
type keeper struct {
	config Config
	engine *engine.Engine
	ring   snapshots.Ring
	stop   context.CancelFunc
	ended  chan struct{}
	making sync.Mutex // held while a snapshot is made or removed
}

// keep begins to make snapshots; nothing with an interval of 0.
func keep(ctx context.Context, c Config, e *engine.Engine) *keeper {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	k := &keeper{config: c, engine: e, ring: c.ring(), stop: stop, ended: make(chan struct{})}
	go func() {
		defer close(k.ended)
		if c.SnapshotInterval > 0 {
			k.run(ctx)
		}
	}()
	return k
}

func (k *keeper) end() {
	k.stop()
	<-k.ended
}

func (k *keeper) run(ctx context.Context) {
	wait, young := k.first()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		next := k.config.SnapshotInterval
		if young {
			next, young = min(next, settled), false
		}
		if err := k.snapshot(ctx); err != nil && ctx.Err() == nil {
			k.config.Log.Error("a snapshot of the datastore could not be made; it is tried again", "err", err)
			next = min(next, retry)
		}
		timer.Reset(next)
	}
}

// first is when the first snapshot of this run is due, counted from the last of the run before; young says that there was none.
func (k *keeper) first() (wait time.Duration, young bool) {
	all, err := k.ring.List()
	if err != nil || len(all) == 0 {
		return min(soon, k.config.SnapshotInterval), true
	}
	due := k.config.SnapshotInterval - time.Since(all[0].Time)
	return max(min(settled, k.config.SnapshotInterval), min(due, k.config.SnapshotInterval)), false // a clock that was set back must not put it off for ever
}

// renew leaves one snapshot, of now.
func (k *keeper) renew(ctx context.Context) error {
	all, err := k.ring.List()
	if err != nil || len(all) == 0 && k.config.SnapshotInterval == 0 {
		return err
	}
	if err := k.snapshot(ctx); err != nil {
		return err
	}
	k.making.Lock()
	defer k.making.Unlock()
	return k.ring.Keep(1)
}

// snapshot makes one, unless the newest has everything.
func (k *keeper) snapshot(ctx context.Context) error {
	k.making.Lock()
	defer k.making.Unlock()
	all, err := k.ring.List()
	if err != nil {
		return err
	}
	if len(all) > 0 && all[0].Revision >= k.engine.Stored() {
		return nil
	}
	made, err := k.ring.Write(time.Now(), engine.State{Revision: k.engine.Stored()}, func(each func(engine.Record) error) error {
		return k.engine.Copy(ctx, each)
	})
	if err != nil {
		return err
	}
	if k.config.wrote != nil {
		k.config.wrote(made.Size)
	}
	k.config.Log.Info("a snapshot of the datastore was made", "file", made.Path, "revision", made.Revision, "bytes", made.Size)
	return nil
}
