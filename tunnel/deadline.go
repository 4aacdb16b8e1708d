package tunnel

import (
	"sync"
	"time"
)

// deadline bounds one direction of a stream. HTTP/2 cannot interrupt a read or write and go on with the stream later, so
// a call that is under way when the time comes ends the stream; one that comes later is refused.
type deadline struct {
	end func()

	mu     sync.Mutex // guards what follows
	timer  *time.Timer
	turn   int // which of the deadlines set so far counts
	passed bool
	busy   bool
}

// set moves the deadline; the zero time lifts it.
func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.turn++
	d.passed = false
	if t.IsZero() {
		return
	}
	if left := time.Until(t); left > 0 {
		turn := d.turn
		d.timer = time.AfterFunc(left, func() { d.pass(turn) })
		return
	}
	d.expire()
}

// pass is the time of a deadline, if it is still the one that counts.
func (d *deadline) pass(turn int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.turn == turn {
		d.expire()
	}
}

func (d *deadline) expire() {
	d.passed = true
	if d.busy {
		d.end()
	}
}

// begin says whether a call may start.
func (d *deadline) begin() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.busy = !d.passed
	return d.busy
}

// finish ends the call, and says whether it ended because of the deadline.
func (d *deadline) finish() (late bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.busy = false
	return d.passed
}
