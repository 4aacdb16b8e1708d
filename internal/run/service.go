package run

import (
	"context"
	"time"
)

// Service is a long-running part: a name and a function that blocks.
//
// Run works until ctx ends, and returns only when nothing it started is left. It calls ready once others may rely on
// it; a second call does nothing. Returning is stopping, so a Run that returns while ctx is alive has ended on its own.
type Service struct {
	// Name is what an operator calls the part; unique in a group.
	Name string
	// Needs names the services that must be ready before Run is called.
	Needs []string
	// Run does the work.
	Run func(ctx context.Context, ready func()) error
	// Again says how to restart a service that ended on its own. Zero: its end ends the whole group, which is right
	// for embedded Kubernetes programs, as they are not safe to start twice in one process.
	Again Backoff
	// Grace is how long a stop may take before the group goes on without it; zero means DefaultGrace.
	Grace time.Duration
	// Details tells what the part looks after that has a state of its own, for instance each file of a folder. It is
	// called at any time, also before Run, and must not wait for anything. Nil: the phase says all.
	Details func() []Detail
}

// DefaultGrace is the time a service has to stop when its Grace is zero.
const DefaultGrace = 2 * time.Second

// Backoff is the pause before a service is started again: Min at first, doubled with each end in a row up to Max.
type Backoff struct{ Min, Max time.Duration }

func (b Backoff) enabled() bool { return b.Max > 0 }

// pause is the wait before restart number attempt, which counts from zero.
func (b Backoff) pause(attempt int) time.Duration {
	wait := max(b.Min, 100*time.Millisecond)
	for ; attempt > 0 && wait < b.Max; attempt-- {
		wait *= 2
	}
	return min(wait, b.Max)
}
