package clock

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/skerry-io/skerry/internal/run"
)

// Run notes the time until ctx ends, and then once more.
func (c *Clock) Run(ctx context.Context, ready func()) error {
	steps := make(chan struct{}, 1)
	var watching sync.WaitGroup
	defer watching.Wait()
	watching.Go(func() {
		err := c.system.Steps(ctx, func() { tell(steps) })
		if err != nil && ctx.Err() == nil {
			c.config.Log.Debug("that the clock is set will be noticed later", "err", err)
		}
	})
	c.note(false)
	ready()
	for {
		select {
		case <-ctx.Done():
			c.note(false)
			return nil
		case <-time.After(noteEvery):
			c.settle()
			c.note(false)
		case <-steps:
			c.stepped()
		}
	}
}

// settle forgets that the time is a guess when it is known.
func (c *Clock) settle() {
	if c.system.Known() && c.guessed() {
		_ = c.guess(false) // it is tried again
	}
}

// stepped takes note of what somebody set the clock to, and tells those who go by it.
func (c *Clock) stepped() {
	c.config.Log.Info("this machine's clock was set", "now", stamp(c.system.Now()))
	c.settle()
	c.note(true)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, to := range c.waiting {
		tell(to)
	}
}

func tell(to chan<- struct{}) {
	select {
	case to <- struct{}{}:
	default: // it was told already
	}
}

// Stepped gives a channel that gets an entry when somebody has set the clock. Ask for it before Run.
func (c *Clock) Stepped() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	to := make(chan struct{}, 1)
	c.waiting = append(c.waiting, to)
	return to
}

// Details says what is wrong with the time, if anything is.
func (c *Clock) Details() []run.Detail {
	if c.system.Known() {
		return nil
	}
	c.mu.Lock()
	behind := c.behind
	c.mu.Unlock()
	if now := c.system.Now(); now.Before(behind.Add(-slack)) {
		return []run.Detail{{Name: "time", State: "behind", Bad: true,
			Err: fmt.Errorf("this machine's clock says %s, and it was %s already", stamp(now), stamp(behind))}}
	}
	if c.guessed() {
		return []run.Detail{{Name: "time", State: "guessed"}}
	}
	return nil
}
