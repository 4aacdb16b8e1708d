//go:build amd64 || arm64

package datastore_test

import (
	"context"
	"fmt"
	"os/exec"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// startSlow starts a process whose disk takes so much longer for each sync, whatever program it is: the kernel asks us about these calls,
// and goes on with them when we answer. It is given up when the context ends.
func startSlow(ctx context.Context, child *exec.Cmd, delay time.Duration) error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // what it is told to ask, its children ask too; so it is thrown away
		listener, err := askAboutSyncs()
		if err == nil {
			go answer(ctx, listener, delay)
			err = child.Start()
		}
		started <- err
	}()
	return <-started
}

// askAboutSyncs has this thread ask before each sync, and gives where it does.
func askAboutSyncs() (listener int, err error) {
	const (
		load    = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		equal   = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		give    = unix.BPF_RET | unix.BPF_K
		setMode = 1 // SECCOMP_SET_MODE_FILTER
		newFile = 8 // SECCOMP_FILTER_FLAG_NEW_LISTENER
	)
	filter := []unix.SockFilter{
		{Code: load, K: 0}, // the call's number
		{Code: equal, Jt: 3, K: unix.SYS_FSYNC},
		{Code: equal, Jt: 2, K: unix.SYS_FDATASYNC},
		{Code: equal, Jt: 1, K: unix.SYS_SYNC_FILE_RANGE},
		{Code: give, K: unix.SECCOMP_RET_ALLOW},
		{Code: give, K: unix.SECCOMP_RET_USER_NOTIF},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return 0, fmt.Errorf("give up privileges: %w", err)
	}
	file, _, errno := unix.Syscall(unix.SYS_SECCOMP, setMode, newFile, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		return 0, fmt.Errorf("watch syncs: %w", errno)
	}
	unix.CloseOnExec(int(file))
	return int(file), nil
}

// asked and answered are struct seccomp_notif and seccomp_notif_resp.
type asked struct {
	id   uint64
	rest [72]byte
}

type answered struct {
	id    uint64
	value int64
	err   int32
	flags uint32
}

// answer lets each call go on after the delay, each in its own time.
func answer(ctx context.Context, listener int, delay time.Duration) {
	defer func() { _ = unix.Close(listener) }()
	for ctx.Err() == nil {
		waits := []unix.PollFd{{Fd: int32(listener), Events: unix.POLLIN}}
		if n, err := unix.Poll(waits, 100); n == 0 || err != nil {
			continue
		}
		var question asked
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(listener), unix.SECCOMP_IOCTL_NOTIF_RECV, uintptr(unsafe.Pointer(&question))); errno != 0 {
			if waits[0].Revents&unix.POLLHUP != 0 {
				return // nobody is left who could ask
			}
			continue
		}
		time.AfterFunc(delay, func() {
			reply := answered{id: question.id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}
			_, _, _ = unix.Syscall(unix.SYS_IOCTL, uintptr(listener), unix.SECCOMP_IOCTL_NOTIF_SEND, uintptr(unsafe.Pointer(&reply)))
		})
	}
}
