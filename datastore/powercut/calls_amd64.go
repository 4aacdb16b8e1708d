package powercut

import "golang.org/x/sys/unix"

// nameCalls take paths and are not on every architecture.
func nameCalls() []uintptr {
	return []uintptr{unix.SYS_OPEN, unix.SYS_RENAME, unix.SYS_UNLINK, unix.SYS_MKDIR}
}

// generic gives a call that takes a path the form of the one that takes a directory too.
func generic(c call) call {
	here := uint64(unix.AT_FDCWD & (1<<64 - 1))
	switch c.number {
	case unix.SYS_OPEN:
		return call{unix.SYS_OPENAT, [5]uint64{here, c.args[0], c.args[1]}}
	case unix.SYS_MKDIR:
		return call{unix.SYS_MKDIRAT, [5]uint64{here, c.args[0]}}
	case unix.SYS_UNLINK:
		return call{unix.SYS_UNLINKAT, [5]uint64{here, c.args[0]}}
	case unix.SYS_RENAME:
		return call{unix.SYS_RENAMEAT, [5]uint64{here, c.args[0], here, c.args[1]}}
	}
	return c
}

func registers(tid int) (c call, result int64, err error) {
	var r unix.PtraceRegs
	if err := unix.PtraceGetRegs(tid, &r); err != nil {
		return call{}, 0, err
	}
	return call{uintptr(r.Orig_rax), [5]uint64{r.Rdi, r.Rsi, r.Rdx, r.R10, r.R8}}, int64(r.Rax), nil
}
