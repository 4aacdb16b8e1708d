package wallclock

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// timer is the descriptor that the program gets for its timer of the wall clock: one that no program comes to by itself, so that the
// filter can know it.
const timer = 1000

// listen has the calls of this thread that are about the wall clock stopped, and gives what they are answered by.
func listen() (*os.File, error) {
	const (
		setMode = 1 // SECCOMP_SET_MODE_FILTER
		// A call that is being answered is ended by nothing but a kill, or the answer would be lost.
		flags = unix.SECCOMP_FILTER_FLAG_NEW_LISTENER | unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
	)
	filter := stopped()
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	fd, _, err := unix.Syscall(unix.SYS_SECCOMP, setMode, flags, uintptr(unsafe.Pointer(&program)))
	if err != 0 {
		return nil, fmt.Errorf("filter system calls: %w", err)
	}
	return os.NewFile(fd, "listener"), nil
}

// stopped is the filter. It looks at the low half of the first argument.
func stopped() []unix.SockFilter {
	const (
		load   = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		equal  = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		give   = unix.BPF_RET | unix.BPF_K
		number = 0 // where they are in what a filter sees
		arch   = 4
		first  = 16
	)
	all := []unix.SockFilter{
		{Code: load, K: arch}, {Code: equal, K: unix.AUDIT_ARCH_X86_64, Jt: 1}, {Code: give, K: unix.SECCOMP_RET_ALLOW},
		{Code: load, K: number},
		{Code: equal, K: unix.SYS_ADJTIMEX, Jf: 1}, {Code: give, K: unix.SECCOMP_RET_USER_NOTIF},
	}
	for _, c := range []struct{ call, first uint32 }{
		{unix.SYS_CLOCK_SETTIME, unix.CLOCK_REALTIME}, {unix.SYS_CLOCK_ADJTIME, unix.CLOCK_REALTIME},
		{unix.SYS_TIMERFD_CREATE, unix.CLOCK_REALTIME}, {unix.SYS_TIMERFD_SETTIME, timer}, {unix.SYS_READ, timer},
	} {
		all = append(all, unix.SockFilter{Code: equal, K: c.call, Jf: 4}, unix.SockFilter{Code: load, K: first},
			unix.SockFilter{Code: equal, K: c.first, Jf: 1}, unix.SockFilter{Code: give, K: unix.SECCOMP_RET_USER_NOTIF},
			unix.SockFilter{Code: load, K: number})
	}
	return append(all, unix.SockFilter{Code: give, K: unix.SECCOMP_RET_ALLOW})
}
