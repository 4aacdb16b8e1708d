package component

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// sickFor gives a health check that answers nil after some asks, and counts all of them.
func sickFor(asks int) (healthy func(context.Context) error, asked *int) {
	asked = new(int)
	return func(context.Context) error {
		if *asked++; *asked <= asks {
			return errors.New("not yet")
		}
		return nil
	}, asked
}

func TestReadyComesOnceAndAfterHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		healthy, asked := sickFor(3)
		calls := 0
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		err := Run(ctx, func() { calls++ }, healthy, func(ctx context.Context) error {
			<-ctx.Done()
			return nil
		})
		if err != nil || calls != 1 || *asked != 4 {
			t.Errorf("ready %d times after %d asks: %v", calls, *asked, err)
		}
	})
}

func TestTheEndOfTheProgramIsTheEnd(t *testing.T) {
	cause := errors.New("no disk")
	for name, program := range map[string]func(context.Context) error{
		"by an error": func(context.Context) error { return cause },
		"by a panic":  func(context.Context) error { panic(cause) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // fails when a goroutine is left
				defer func() {
					if v := recover(); v != nil && v != cause {
						t.Errorf("panic %v", v)
					}
				}()
				sick, _ := sickFor(1 << 30)
				err := Run(t.Context(), func() { t.Error("called ready") }, sick, program)
				if !errors.Is(err, cause) {
					t.Errorf("got %v", err)
				}
			})
		})
	}
}

func TestUntilGivesUpWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		sick, asked := sickFor(1 << 30)
		began := time.Now()
		Until(ctx, sick, func() { t.Error("called ready") })
		if took := time.Since(began); took != time.Second || *asked < 40 {
			t.Errorf("gave up after %s and %d asks", took, *asked)
		}
	})
}
