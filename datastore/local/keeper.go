package local

import (
	"context"
	"time"

	"github.com/skerry-io/skerry/datastore/engine"
	"github.com/skerry-io/skerry/datastore/snapshots"
)

const (
	// settled is how long a start is left alone before the first snapshot.
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
	timer := time.NewTimer(k.first())
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		next := k.config.SnapshotInterval
		if err := k.snapshot(ctx); err != nil && ctx.Err() == nil {
			k.config.Log.Error("a snapshot of the datastore could not be made; it is tried again", "err", err)
			next = min(next, retry)
		}
		timer.Reset(next)
	}
}

// first is when the first snapshot is due, counted from the last of the run before.
func (k *keeper) first() time.Duration {
	wait := min(settled, k.config.SnapshotInterval)
	if all, err := k.ring.List(); err == nil && len(all) > 0 {
		due := k.config.SnapshotInterval - time.Since(all[0].Time)
		wait = max(wait, min(due, k.config.SnapshotInterval)) // a clock that was set back must not put it off for ever
	}
	return wait
}

// snapshot makes one, unless the newest has everything.
func (k *keeper) snapshot(ctx context.Context) error {
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
	k.config.Log.Info("a snapshot of the datastore was made", "file", made.Path, "revision", made.Revision, "bytes", made.Size)
	return nil
}
