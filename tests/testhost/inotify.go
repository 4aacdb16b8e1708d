package testhost

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// usualInotify is the limit of instances that most distributions set.
const usualInotify = "128"

// Inotify leaves only so many inotify instances free for root on this machine, until the test ends. It sets the usual
// limit and uses them up, because the limit belongs to the machine: everything else that root runs meanwhile feels it too. So no
// other lab may be open.
func (l *Lab) Inotify(free int) {
	l.t.Helper()
	if !l.alone() {
		l.t.Fatal("other tests have hosts now, which would feel it: run this one alone")
	}
	var held []int
	l.t.Cleanup(func() {
		for _, fd := range held {
			unix.Close(fd)
		}
	})
	if err := os.WriteFile("/proc/sys/fs/inotify/max_user_instances", []byte(usualInotify), 0); err != nil {
		l.t.Skipf("the limit of inotify instances cannot be set here: %v", err)
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
