package idle

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"time"
)

// Slack is how late a timer may fire in a process that sleeps. Kubernetes' components have some hundred tickers, of half
// a second and more, each with a phase of its own: exactly kept, they wake an idle node hundreds of times a second.
// While there is work the threads do not sleep, and timers are as exact as ever.
const Slack = 100 * time.Millisecond

// LateTimers lets the kernel wake the threads of this process for several timers at once. Threads that are made later
// are as the one that made them, so it is to be called again from time to time.
func LateTimers() error {
	threads, err := threads()
	if err != nil {
		return err
	}
	var errs []error
	for i, thread := range threads {
		if i == sysmon {
			continue
		}
		file := "/proc/" + thread + "/timerslack_ns"
		err := os.WriteFile(file, strconv.AppendInt(nil, Slack.Nanoseconds(), 10), 0)
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // a thread may have ended
			errs = append(errs, fmt.Errorf("set the timer slack: %w", err))
		}
	}
	return errors.Join(errs...)
}

// sysmon is the place of Go's monitor among the threads: it is made right after the first one, before any other code
// runs. It finds goroutines that are stuck in a system call, and has to be exact for that.
const sysmon = 1

// threads gives the threads of this process in the order in which they were made, as /proc lists them.
func threads() ([]string, error) {
	dir, err := os.Open("/proc/self/task")
	if err != nil {
		return nil, err
	}
	names, err := dir.Readdirnames(-1)
	return names, errors.Join(err, dir.Close())
}
