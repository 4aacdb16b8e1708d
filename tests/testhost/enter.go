package testhost

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// namespaces are open files of /proc/PID/ns, in the order they are entered, with the kind of each.
type namespaces []namespace

type namespace struct {
	file *os.File
	kind int // unix.CLONE_NEW*
}

// openNamespaces opens the named ones ("net", "mnt", ...) of a process.
func openNamespaces(pid int, names ...string) (namespaces, error) {
	kinds := map[string]int{
		"net": unix.CLONE_NEWNET, "uts": unix.CLONE_NEWUTS, "ipc": unix.CLONE_NEWIPC,
		"cgroup": unix.CLONE_NEWCGROUP, "pid": unix.CLONE_NEWPID, "mnt": unix.CLONE_NEWNS,
	}
	var all namespaces
	for _, name := range names {
		f, err := os.Open(fmt.Sprintf("/proc/%d/ns/%s", pid, name))
		if err != nil {
			all.close()
			return nil, fmt.Errorf("open namespace: %w", err)
		}
		all = append(all, namespace{f, kinds[name]})
	}
	return all, nil
}

func (n namespaces) close() {
	for _, one := range n {
		_ = one.file.Close()
	}
}

// enter joins the calling thread to all of them.
func (n namespaces) enter() error {
	// A thread that shares its root directory with others may not change its mount namespace.
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("unshare the root directory: %w", err)
	}
	// The clock is the machine's, and there is no namespace of it: no program of a host may set it.
	if err := unix.Prctl(unix.PR_CAPBSET_DROP, unix.CAP_SYS_TIME, 0, 0, 0); err != nil {
		return fmt.Errorf("give up the right to set the clock: %w", err)
	}
	for _, one := range n {
		if err := unix.Setns(int(one.file.Fd()), one.kind); err != nil {
			return fmt.Errorf("enter %s: %w", one.file.Name(), err)
		}
	}
	return nil
}

// onOwnThread runs f on a thread that is thrown away afterwards, so that f may change the thread's namespaces and cgroup.
func onOwnThread(f func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			// The first thread would not end, it would be parked for ever in the host. Hold it and use another.
			defer runtime.UnlockOSThread()
			result <- onOwnThread(f)
			return
		}
		result <- f() // no unlock: the thread ends with this goroutine
	}()
	return <-result
}
