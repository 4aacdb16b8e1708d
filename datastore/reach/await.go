package reach

import (
	"context"
	"time"
)

const (
	// firstPause and longestPause are between two attempts.
	firstPause   = 250 * time.Millisecond
	longestPause = 5 * time.Second
	// patience is how long one attempt may take.
	patience = 5 * time.Second
)

// Await attempts until there is no error, or one that soon says will not pass; the end of ctx is one too. waiting is told each error
// that may pass, and nil at the end.
func Await(ctx context.Context, attempt func(context.Context) error, soon func(error) bool, waiting func(error)) error {
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		err := once(ctx, attempt)
		switch {
		case err == nil:
			waiting(nil)
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case !soon(err):
			return err
		}
		waiting(err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func once(ctx context.Context, attempt func(context.Context) error) error {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	return attempt(ctx)
}
