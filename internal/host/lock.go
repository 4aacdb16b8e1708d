package host

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/skerry-io/skerry/internal/fault"
)

// ErrRunning is the cause when another process holds the ledger: a node that runs, or a reset.
var ErrRunning = errors.New("another skerry holds it")

// openLocked opens a file for appending, creating it, and locks it for this open file.
func openLocked(path string) (*os.File, error) {
	for {
		file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			return nil, fault.New("open %s", path).Because(err).Fix("run as root, on a file system that can be written")
		}
		if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			return nil, errors.Join(heldFault(path, file, err), file.Close())
		}
		same, err := stillNamed(file, path)
		if err != nil {
			return nil, errors.Join(err, file.Close())
		}
		if same {
			return file, nil
		}
		if err := file.Close(); err != nil { // it was replaced between open and lock
			return nil, err
		}
	}
}

// stillNamed says whether path names this open file.
func stillNamed(file *os.File, path string) (bool, error) {
	mine, err := file.Stat()
	if err != nil {
		return false, err
	}
	named, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(mine, named), err
}

func heldFault(path string, file *os.File, err error) error {
	if !errors.Is(err, unix.EWOULDBLOCK) {
		return fmt.Errorf("lock %s: %w", path, err)
	}
	who := ""
	var stat unix.Stat_t
	if unix.Fstat(int(file.Fd()), &stat) == nil {
		if locks, err := os.ReadFile("/proc/locks"); err == nil {
			if pid := lockHolder(locks, stat.Ino); pid > 0 {
				who = fmt.Sprintf(" (process %d)", pid)
			}
		}
	}
	return fault.New("skerry runs on this data directory%s", who).Because(fmt.Errorf("%s: %w", path, ErrRunning)).
		Fix("stop it first: systemctl stop skerry, or kill the process")
}

// lockHolder finds in /proc/locks the process that holds a flock on the inode, 0 when none is named.
func lockHolder(locks []byte, inode uint64) int {
	lines := bufio.NewScanner(bytes.NewReader(locks))
	for lines.Scan() {
		f := strings.Fields(lines.Text()) // 1: FLOCK ADVISORY WRITE 4711 fe:00:1234 0 EOF
		if len(f) < 6 || f[1] != "FLOCK" || !strings.HasSuffix(f[5], ":"+strconv.FormatUint(inode, 10)) {
			continue
		}
		if pid, err := strconv.Atoi(f[4]); err == nil {
			return pid
		}
	}
	return 0
}
