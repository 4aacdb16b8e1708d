package wallclock

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// ready is what the keeper says when the program may begin.
const ready = "ready"

// What the keeper is started with.
const (
	listenerFD = 3
	readyFD    = 4
)

// keeper keeps the clock of a process.
type keeper struct {
	pid      int
	function uint64 // where the code goes in a vDSO
	notices  int    // an eventfd: that the clock was set

	mu    sync.Mutex // guards what follows
	ahead int64      // of the machine's clock, in seconds
	known bool       // somebody keeps it right
	set   bool       // and the process has not heard of it yet
	patch int64      // where the process has the code; 0 before it begins
}

// keep keeps the clock of a process, PID THREAD SOCKET TIME, until that ends.
func keep(args []string) error {
	runtime.LockOSThread() // the kernel lets only one thread follow
	pid, err1 := strconv.Atoi(args[0])
	thread, err2 := strconv.Atoi(args[1])
	at, err3 := time.Parse(time.RFC3339, args[3])
	function, err4 := function()
	notices, err5 := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	_ = os.Remove(args[2]) // of a process before this one
	control, err6 := net.Listen("unix", args[2])
	if err := errors.Join(err1, err2, err3, err4, err5, err6, seize(thread)); err != nil {
		return err
	}
	defer func() { _ = control.Close() }()
	k := &keeper{pid: pid, function: function, notices: notices, ahead: at.Unix() - time.Now().Unix()}
	go k.serve(control)    // ends with the process
	go k.calls(listenerFD) // and so does this
	told := os.NewFile(readyFD, ready)
	if _, err := told.WriteString(ready); err != nil {
		return err
	}
	if err := told.Close(); err != nil {
		return err
	}
	return k.follow()
}

// seize follows a thread, those that it begins and what it executes. All end with the keeper.
func seize(thread int) error {
	const options = unix.PTRACE_O_TRACECLONE | unix.PTRACE_O_TRACEEXEC | unix.PTRACE_O_EXITKILL
	_, _, err := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_SEIZE, uintptr(thread), 0, options, 0, 0)
	if err != 0 {
		return fmt.Errorf("follow thread %d: %w", thread, err)
	}
	return nil
}

// follow changes each program that the process executes before that begins, and lets all else happen, until the process has ended.
func (k *keeper) follow() error {
	for {
		var status unix.WaitStatus
		thread, err := unix.Wait4(-1, &status, unix.WALL, nil)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return err
		case !status.Stopped() && thread == k.pid:
			return nil
		case !status.Stopped():
			continue
		}
		if event := int(status) >> 16; event == unix.PTRACE_EVENT_EXEC {
			if err := k.begin(); err != nil {
				return fmt.Errorf("change the program's clock: %w", err)
			}
		}
		if err := goOn(thread, status); err != nil && !errors.Is(err, unix.ESRCH) { // it may have ended meanwhile
			return err
		}
	}
}

func goOn(thread int, status unix.WaitStatus) error {
	event, signal := int(status)>>16, status.StopSignal()
	switch {
	case event == unix.PTRACE_EVENT_STOP && signal != unix.SIGTRAP: // the whole process was told to stop, and stays so
		_, _, err := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_LISTEN, uintptr(thread), 0, 0, 0, 0)
		if err != 0 {
			return err
		}
		return nil
	case event != 0:
		return unix.PtraceCont(thread, 0)
	}
	return unix.PtraceCont(thread, int(signal))
}

// begin puts the code into a program that is about to begin.
func (k *keeper) begin() error {
	base, err := vdso(k.pid)
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.patch = int64(base + k.function)
	if err := writeMemory(k.pid, code(), k.patch); err != nil {
		return err
	}
	return k.show()
}

// show tells the program what the difference is. The lock is held.
func (k *keeper) show() error {
	if k.patch == 0 {
		return nil
	}
	return writeMemory(k.pid, binary.LittleEndian.AppendUint64(nil, uint64(k.ahead)), k.patch+difference)
}

// setTo sets the clock.
func (k *keeper) setTo(seconds int64, known bool) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ahead, k.known, k.set = seconds-time.Now().Unix(), known, true
	if _, err := unix.Write(k.notices, binary.LittleEndian.AppendUint64(nil, 1)); err != nil {
		return err
	}
	return k.show()
}

// serve answers a Clock.
func (k *keeper) serve(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		line, _ := bufio.NewReader(conn).ReadString('\n')
		_, _ = fmt.Fprintln(conn, k.answer(strings.TrimSpace(line)))
		_ = conn.Close()
	}
}

func (k *keeper) answer(question string) string {
	if to, isSet := strings.CutPrefix(question, "set "); isSet {
		at, err := time.Parse(time.RFC3339, to)
		if err == nil {
			err = k.setTo(at.Unix(), true)
		}
		if err != nil {
			return err.Error()
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return time.Now().Add(time.Duration(k.ahead) * time.Second).UTC().Format(time.RFC3339)
}
