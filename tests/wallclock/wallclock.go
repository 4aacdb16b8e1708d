package wallclock

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Name is what the test binary is called when it is to become a program with another clock.
const Name = "wallclock"

// Cannot says why no program can have another clock on this machine, empty when one can.
func Cannot() string {
	if runtime.GOARCH != "amd64" {
		return "the code for it is amd64's"
	}
	if os.Geteuid() != 0 {
		return "needs root"
	}
	return ""
}

// Main becomes a program with another clock: run SOCKET TIME PROGRAM ARGUMENT... It returns only when that cannot be done, or, with
// other arguments of its own, when that program has ended.
func Main(args []string) error {
	switch {
	case len(args) == 5 && args[0] == "keep":
		return keep(args[1:])
	case len(args) < 4 || args[0] != "run":
		return fmt.Errorf("%s run SOCKET TIME PROGRAM ARGUMENT... is wanted, not %q", Name, args)
	}
	program, err := exec.LookPath(args[3])
	if err != nil {
		return err
	}
	runtime.LockOSThread() // the filter is this thread's, which becomes the program
	listener, err := listen()
	if err != nil {
		return err
	}
	if err := startKeeper(listener, args[1], args[2]); err != nil {
		return err
	}
	return fmt.Errorf("run %s: %w", program, syscall.Exec(program, args[3:], os.Environ()))
}

// startKeeper starts the process that keeps this one's clock, and waits until it does.
func startKeeper(listener *os.File, socket, at string) error {
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	defer func() { _ = read.Close() }()
	keeper := exec.Command("/proc/self/exe", "keep", strconv.Itoa(os.Getpid()), strconv.Itoa(syscall.Gettid()), socket, at)
	keeper.Args[0] = Name
	keeper.Stderr, keeper.ExtraFiles, keeper.SysProcAttr = os.Stderr, []*os.File{listener, write}, &syscall.SysProcAttr{Setsid: true}
	started := make(chan error)
	go func() { started <- keeper.Start() }() // by another thread, which has no filter
	err = errors.Join(<-started, write.Close(), listener.Close())
	if err != nil {
		return fmt.Errorf("start the keeper: %w", err)
	}
	said, err := io.ReadAll(read)
	if string(said) != ready {
		return fmt.Errorf("the keeper says %q: %w", said, errors.Join(err, errors.ErrUnsupported))
	}
	return nil
}

// Clock is that of a program which Main has become, by its socket.
type Clock string

// Now is what time it is for the program.
func (c Clock) Now() (time.Time, error) {
	said, err := c.ask("now")
	if err != nil {
		return time.Time{}, err
	}
	return time.Parse(time.RFC3339, said)
}

// Set sets it, as somebody does who keeps it right from now on: NTP, a receiver.
func (c Clock) Set(at time.Time) error {
	_, err := c.ask("set " + at.UTC().Format(time.RFC3339))
	return err
}

func (c Clock) ask(question string) (string, error) {
	conn, err := net.Dial("unix", string(c))
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	if _, err := fmt.Fprintln(conn, question); err != nil {
		return "", err
	}
	said, err := io.ReadAll(conn)
	return strings.TrimSpace(string(said)), err
}
