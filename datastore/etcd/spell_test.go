package etcd

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestASpellBeginsWhenSomebodyAsks: however long nobody has asked before, and however the former one ended.
func TestASpellBeginsWhenSomebodyAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s spell
		first, second := make(chan struct{}), make(chan struct{})
		for i, step := range []struct {
			after   time.Duration
			led     bool
			elected chan struct{}
			want    time.Duration
		}{
			{time.Hour, true, first, 0},
			{time.Hour, false, first, 0},
			{5 * time.Second, false, first, 5 * time.Second},
			{2 * time.Second, false, first, 7 * time.Second},
			{time.Second, true, second, 0},
			{time.Hour, false, second, 0},
			{time.Hour, false, second, time.Hour},
			{time.Hour, false, make(chan struct{}), 0}, // nobody asked while there was a leader
		} {
			time.Sleep(step.after)
			if got := s.length(step.led, step.elected); got != step.want {
				t.Errorf("step %d: it lasts %s, not %s", i, got, step.want)
			}
		}
	})
}
