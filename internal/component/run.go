package component

import (
	"context"
	"time"
)

// pollEvery is how often health is asked; short, as a start waits for it.
const pollEvery = 20 * time.Millisecond

// Until calls healthy until it answers nil, then ready; it gives up when ctx ends.
func Until(ctx context.Context, healthy func(context.Context) error, ready func()) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		if healthy(ctx) == nil {
			ready()
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// Run is the life of an embedded program: it calls ready once healthy answers nil, and returns when program does. A
// program that panics leaves nothing running either.
func Run(ctx context.Context, ready func(), healthy func(context.Context) error, program func(context.Context) error) error {
	watch, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		Until(watch, healthy, ready)
	}()
	defer func() {
		stop()
		<-done
	}()
	return program(ctx)
}
