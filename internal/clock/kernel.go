package clock

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Kernel is the clock of the machine that this program runs on.
func Kernel() System { return System{Now: time.Now, Set: set, Known: known, Steps: watchSteps} }

func set(to time.Time) error {
	spec := unix.NsecToTimespec(to.UnixNano())
	return unix.ClockSettime(unix.CLOCK_REALTIME, &spec)
}

// known asks the kernel, which is told by whoever disciplines the clock.
func known() bool {
	var now unix.Timex
	state, err := unix.Adjtimex(&now)
	return err == nil && state != unix.TIME_ERROR && now.Status&unix.STA_UNSYNC == 0
}

// stepWatch calls back each time that the clock is set.
type stepWatch func(ctx context.Context, callback func()) error

// watchSteps has the kernel say so: a timer of a day that never comes is cancelled whenever the clock is set.
func watchSteps(ctx context.Context, callback func()) error {
	fd, err := unix.TimerfdCreate(unix.CLOCK_REALTIME, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("make a timer: %w", err)
	}
	timer := os.NewFile(uintptr(fd), "clock")
	defer context.AfterFunc(ctx, func() { _ = timer.Close() })()
	defer func() { _ = timer.Close() }() // it may be closed already
	raw, err := timer.SyscallConn()
	if err != nil {
		return err
	}
	for {
		if err := arm(raw); err != nil {
			return err
		}
		_, err := timer.Read(make([]byte, 8))
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, syscall.ECANCELED):
			callback()
		case err != nil:
			return fmt.Errorf("wait for a timer: %w", err)
		}
	}
}

func arm(raw syscall.RawConn) error {
	never := &unix.ItimerSpec{Value: unix.NsecToTimespec(time.Date(2200, time.January, 1, 0, 0, 0, 0, time.UTC).UnixNano())}
	var failed error
	err := raw.Control(func(fd uintptr) {
		failed = unix.TimerfdSettime(int(fd), unix.TFD_TIMER_ABSTIME|unix.TFD_TIMER_CANCEL_ON_SET, never, nil)
	})
	if err = errors.Join(err, failed); err != nil {
		return fmt.Errorf("arm a timer: %w", err)
	}
	return nil
}
