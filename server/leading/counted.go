package leading

import (
	"context"
	"sync"
	"time"

	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// counted is the lease, with how long it counts here: from when a renewal was sent that has reached the datastore, however late that is
// answered. The others count from when they have seen it, which is later.
type counted struct {
	resourcelock.Interface
	over func() // called when it counts no more

	mu    sync.Mutex // guards what follows
	sent  time.Time  // the last renewal; zero: it was never had
	timer *time.Timer
}

// Create takes a lease that nobody has had.
func (c *counted) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return c.count(func() error { return c.Interface.Create(ctx, record) })
}

// Update takes or renews it.
func (c *counted) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return c.count(func() error { return c.Interface.Update(ctx, record) })
}

func (c *counted) count(write func() error) error {
	sent := time.Now()
	if err := write(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent = sent
	if left := time.Until(sent.Add(tenure)); c.timer == nil {
		c.timer = time.AfterFunc(left, c.over)
	} else {
		c.timer.Reset(left)
	}
	return nil
}

// end stops counting, and gives when the others may take the lease; had is false when they may have it at any time.
func (c *counted) end() (free time.Time, had bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer == nil {
		return time.Time{}, false
	}
	c.timer.Stop()
	return c.sent.Add(life), true
}
