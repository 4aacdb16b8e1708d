//go:build amd64 || arm64

package powercut

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// watched are the calls by which files change.
func watched() []uintptr {
	return append([]uintptr{unix.SYS_WRITE, unix.SYS_PWRITE64, unix.SYS_WRITEV, unix.SYS_PWRITEV, unix.SYS_PWRITEV2, unix.SYS_FTRUNCATE, unix.SYS_FALLOCATE,
		unix.SYS_FSYNC, unix.SYS_FDATASYNC, unix.SYS_OPENAT, unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2, unix.SYS_UNLINKAT, unix.SYS_MKDIRAT,
		unix.SYS_COPY_FILE_RANGE, unix.SYS_SENDFILE}, nameCalls()...)
}

// Watch has this process, which Record has started, stop at each call that changes files. Call it before anything is written.
func Watch() error {
	const (
		load    = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		equal   = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		give    = unix.BPF_RET | unix.BPF_K
		setMode = 1 // SECCOMP_SET_MODE_FILTER
		all     = 1 // SECCOMP_FILTER_FLAG_TSYNC: every thread
	)
	calls := watched()
	filter := []unix.SockFilter{{Code: load, K: 0}} // the call's number
	for i, number := range calls {
		filter = append(filter, unix.SockFilter{Code: equal, Jt: uint8(len(calls) - i), K: uint32(number)})
	}
	filter = append(filter, unix.SockFilter{Code: give, K: unix.SECCOMP_RET_ALLOW}, unix.SockFilter{Code: give, K: unix.SECCOMP_RET_TRACE})
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("give up privileges: %w", err)
	}
	if _, _, err := unix.Syscall(unix.SYS_SECCOMP, setMode, all, uintptr(unsafe.Pointer(&program))); err != 0 {
		return fmt.Errorf("watch system calls: %w", err)
	}
	return nil
}
