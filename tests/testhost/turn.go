package testhost

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// turn is one lab's part in its owner's turn on this machine. Two files stand for it: each lab that is open holds a shared lock of one, which
// names the owner; the other one is locked while a lab comes or goes. Locks end with the process.
type turn struct{ lab int }

// sharedTurn names the turn of several test binaries, which may have labs at the same time.
const sharedTurn = "SKT_TURN"

// self is whose turn labs of this process take: its own, unless it shares one.
func self() string {
	if shared := os.Getenv(sharedTurn); shared != "" {
		return shared
	}
	return strconv.Itoa(os.Getpid())
}

// takeTurn waits until nobody else has a lab. The first lab tidies up, and keeps the machine-wide sysctls.
func takeTurn(t testing.TB) (turn, error) {
	told := false
	for {
		mine, owner, err := tryTurn()
		if err != nil || owner == self() {
			return mine, err
		}
		if !told {
			told = true
			t.Logf("waiting for the labs of process %s to end (lock %s)", owner, turnFile("labs"))
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func turnFile(name string) string { return filepath.Join(os.TempDir(), "skt."+name+".lock") }

// tryTurn gives whose turn it is: this one's, if it can be.
func tryTurn() (mine turn, owner string, err error) {
	door, err := lock(turnFile("door"), unix.LOCK_EX)
	if err != nil {
		return turn{}, "", err
	}
	defer unlock(door)
	labs, err := lock(turnFile("labs"), unix.LOCK_EX|unix.LOCK_NB)
	switch {
	case err == nil: // nobody's
		tidy()
		owner = self()
		err = errors.Join(os.WriteFile(turnFile("labs"), []byte(owner), 0o600), saveSysctls(), unix.Flock(labs, unix.LOCK_SH))
		if err != nil {
			unlock(labs)
		}
	case errors.Is(err, unix.EWOULDBLOCK):
		var text []byte
		if text, err = os.ReadFile(turnFile("labs")); err != nil {
			return turn{}, "", err
		}
		if owner = string(text); owner != self() {
			return turn{}, owner, nil
		}
		labs, err = lock(turnFile("labs"), unix.LOCK_SH)
	}
	return turn{labs}, owner, err
}

// end is the end of one lab; after the last one the machine-wide sysctls are as they were.
func (t turn) end() error {
	door, err := lock(turnFile("door"), unix.LOCK_EX)
	if err != nil {
		return err
	}
	defer unlock(door)
	unlock(t.lab)
	last, err := lock(turnFile("labs"), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unlock(last)
	return restoreSysctls()
}

// lock opens a file and locks it.
func lock(path string, how int) (fd int, err error) {
	fd, err = unix.Open(path, unix.O_CREAT|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return 0, fmt.Errorf("open %s: %w", path, err)
	}
	for {
		err = unix.Flock(fd, how)
		if err == nil {
			return fd, nil
		}
		if !errors.Is(err, unix.EINTR) {
			unix.Close(fd)
			return 0, fmt.Errorf("lock %s: %w", path, err)
		}
	}
}

// unlock is more than to close: a program that is being started may have the file open too, for a moment.
func unlock(fd int) {
	_ = unix.Flock(fd, unix.LOCK_UN)
	unix.Close(fd)
}
