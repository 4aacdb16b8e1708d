package testhost

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Inotify leaves only so many inotify instances free for root on this machine, until the test ends. It uses them up,
// because their limit belongs to the machine: everything else that root runs meanwhile feels it too.
func (l *Lab) Inotify(free int) {
	l.t.Helper()
	var held []int
	l.t.Cleanup(func() {
		for _, fd := range held {
			unix.Close(fd)
		}
	})
	text, err := os.ReadFile("/proc/sys/fs/inotify/max_user_instances")
	l.must(err, "read the limit")
	limit, err := strconv.Atoi(strings.TrimSpace(string(text)))
	l.must(err, "read the limit")
	if limit > 20_000 {
		l.t.Skipf("no low inotify limit here: %d instances are more than a test can use up", limit)
	}
	for {
		fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
		if errors.Is(err, unix.EMFILE) {
			break
		}
		l.must(err, "use up inotify instances")
		held = append(held, fd)
	}
	for range min(free, len(held)) {
		unix.Close(held[len(held)-1])
		held = held[:len(held)-1]
	}
}

// InotifyHeld counts the inotify instances that the host's processes hold.
func (h *Host) InotifyHeld() int {
	links, _ := filepath.Glob(h.Root() + "/proc/[0-9]*/fd/*")
	held := 0
	for _, link := range links {
		if to, err := os.Readlink(link); err == nil && to == "anon_inode:inotify" {
			held++
		}
	}
	return held
}
