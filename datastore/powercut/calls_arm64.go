package powercut

import "golang.org/x/sys/unix"

// nameCalls take paths and are not on every architecture.
func nameCalls() []uintptr { return nil }

// generic gives a call that takes a path the form of the one that takes a directory too.
func generic(c call) call { return c }

func registers(tid int) (c call, result int64, err error) {
	var r unix.PtraceRegsArm64
	if err := unix.PtraceGetRegSetArm64(tid, 1, &r); err != nil { // NT_PRSTATUS
		return call{}, 0, err
	}
	return call{uintptr(r.Regs[8]), [5]uint64{r.Regs[0], r.Regs[1], r.Regs[2], r.Regs[3], r.Regs[4]}}, int64(r.Regs[0]), nil
}
