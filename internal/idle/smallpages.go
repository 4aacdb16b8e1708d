package idle

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// SmallPages asks the kernel to map this program by small pages. A kernel with large folios in its page cache maps a
// whole 2 MB at the first touch, which makes nearly all of a large program resident, and keeps the kernel from giving
// the untouched parts back when memory is short. What was touched so far is read again, from the page cache, on the next
// touch.
func SmallPages() error {
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return err
	}
	defer func() { _ = maps.Close() }() // only read
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return err
	}
	var errs []error
	lines := bufio.NewScanner(maps)
	for lines.Scan() {
		if from, length, ok := readOnly(lines.Text(), self); ok {
			errs = append(errs, advise(from, length, unix.MADV_NOHUGEPAGE), advise(from, length, unix.MADV_DONTNEED))
		}
	}
	return errors.Join(append(errs, lines.Err())...)
}

// readOnly reads one line of /proc/PID/maps; ok means that it is a part of the file that nobody can have changed.
func readOnly(line, file string) (from, length uintptr, ok bool) {
	var to uintptr
	var rights string
	if _, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &rights); err != nil {
		return 0, 0, false
	}
	return from, to - from, strings.HasPrefix(rights, "r") && rights[1] == '-' && strings.HasSuffix(line, " "+file)
}

func advise(from, length uintptr, advice int) error {
	if _, _, errno := unix.Syscall(unix.SYS_MADVISE, from, length, uintptr(advice)); errno != 0 {
		return fmt.Errorf("madvise: %w", errno)
	}
	return nil
}
