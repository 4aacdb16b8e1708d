package wallclock

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// call is a system call that was stopped: struct seccomp_notif.
type call struct {
	id    uint64
	pid   uint32
	_     uint32
	nr    int32
	_     uint32
	_     uint64
	first [6]uint64
}

// answer is struct seccomp_notif_resp.
type answer struct {
	id     uint64
	result int64
	err    int32
	flags  uint32
}

// given is struct seccomp_notif_addfd.
type given struct {
	id             uint64
	flags          uint32
	from, as, with uint32
}

// calls answers what the filter stops, until nobody is left whom it stops.
func (k *keeper) calls(listener int) {
	for {
		var c call
		err := control(listener, unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(&c))
		switch {
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.ENOENT): // it was killed meanwhile
			continue
		case err != nil:
			return
		}
		a := answer{id: c.id}
		if !k.own(c) {
			a.flags = unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE
		} else if c.nr == unix.SYS_TIMERFD_CREATE && k.give(listener, c.id) == nil {
			continue // that is the answer
		} else {
			a.result, a.err = k.reply(c)
		}
		_ = control(listener, unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&a)) // it may have been killed
	}
}

func control(fd int, request uintptr, argument unsafe.Pointer) error {
	if _, _, err := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(argument)); err != 0 {
		return err
	}
	return nil
}

// own says that a call is of the process, and not of one that it has started.
func (k *keeper) own(c call) bool {
	_, err := os.Stat(fmt.Sprintf("/proc/%d/task/%d", k.pid, c.pid))
	return err == nil
}

// give gives the process something that looks like a timer of the wall clock which never comes.
func (k *keeper) give(listener int, id uint64) error {
	return control(listener, unix.SECCOMP_IOCTL_NOTIF_ADDFD, unsafe.Pointer(&given{id: id,
		flags: unix.SECCOMP_ADDFD_FLAG_SETFD | unix.SECCOMP_ADDFD_FLAG_SEND, from: uint32(k.notices), as: timer, with: unix.O_CLOEXEC}))
}

// reply is what the kernel would say to a call, if the process's clock were the machine's.
func (k *keeper) reply(c call) (result int64, errno int32) {
	switch c.nr {
	case unix.SYS_CLOCK_SETTIME:
		var spec [16]byte
		if err := readMemory(strconv.Itoa(k.pid), spec[:], int64(c.first[1])); err != nil {
			return 0, -int32(unix.EFAULT)
		}
		if err := k.setTo(int64(binary.LittleEndian.Uint64(spec[:])), false); err != nil {
			return 0, -int32(unix.EIO)
		}
		return 0, 0
	case unix.SYS_ADJTIMEX, unix.SYS_CLOCK_ADJTIME: // what it is asked for in the structure stays as it was: zero
		k.mu.Lock()
		defer k.mu.Unlock()
		if !k.known {
			return unix.TIME_ERROR, 0
		}
		return unix.TIME_OK, 0
	case unix.SYS_TIMERFD_SETTIME:
		return 0, 0
	case unix.SYS_READ:
		return 0, -k.canceled()
	}
	return 0, -int32(unix.ENOSYS)
}

// canceled is what reading the timer says: that the clock was set, once.
func (k *keeper) canceled() int32 {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.set {
		return int32(unix.EAGAIN)
	}
	k.set = false
	_, _ = unix.Read(k.notices, make([]byte, 8))
	return int32(unix.ECANCELED)
}
