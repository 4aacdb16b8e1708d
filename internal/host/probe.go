package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/skerry-io/skerry/internal/fault"
)

// CanSetOOMScore says whether this process may protect others from the kernel's memory killer. Without
// CAP_SYS_RESOURCE it may not: then tell the container runtime not to try.
func CanSetOOMScore() bool { return hasCapability(unix.CAP_SYS_RESOURCE) }

// CanRaiseRlimits says whether this process may raise hard limits, its own or those of a container.
func CanRaiseRlimits() bool { return hasCapability(unix.CAP_SYS_RESOURCE) }

// hasCapability looks at the effective set, in the user namespace of this process.
func hasCapability(number uint) bool {
	status, err := os.ReadFile("/proc/self/status")
	return err == nil && effective(status)&(1<<number) != 0
}

// effective reads CapEff of /proc/PID/status.
func effective(status []byte) uint64 {
	for line := range strings.Lines(string(status)) {
		if set, ok := strings.CutPrefix(line, "CapEff:"); ok {
			n, err := strconv.ParseUint(strings.TrimSpace(set), 16, 64)
			if err != nil {
				return 0
			}
			return n
		}
	}
	return 0
}

// MountPropagationShared says whether a mount made at path is seen in other mount namespaces, which pods with
// Bidirectional volumes and the kubelet need. Path must be a mount point.
func MountPropagationShared(path string) (bool, error) {
	mounts, err := readMounts()
	if err != nil {
		return false, err
	}
	shared := false
	for _, m := range mounts {
		if m.Point == path {
			shared = m.Shared // the last one mounted there is the one seen
		}
	}
	return shared, nil
}

// BridgeNFCall says whether packets that cross a bridge pass the firewall, and whether this kernel can do that at all.
// It looks at the feature: it may be a module, built in, or absent.
func BridgeNFCall() (on, supported bool) {
	text, err := os.ReadFile("/proc/sys/net/bridge/bridge-nf-call-iptables")
	if err != nil {
		return false, false
	}
	return strings.TrimSpace(string(text)) == "1", true
}

// Inotify is how many files one user may watch, and through how many handles.
type Inotify struct {
	Watches, Instances int
}

// InotifyLimits reads the limits. Below 8192 watches or 256 instances, a node with some dozens of pods runs into them.
func InotifyLimits() (Inotify, error) {
	watches, err := readNumber("/proc/sys/fs/inotify/max_user_watches")
	if err != nil {
		return Inotify{}, err
	}
	instances, err := readNumber("/proc/sys/fs/inotify/max_user_instances")
	return Inotify{Watches: watches, Instances: instances}, err
}

// Low says whether a node can be expected to run into the limits.
func (i Inotify) Low() bool { return i.Watches < 8192 || i.Instances < 256 }

// InotifyFree fails unless this user can still make so many inotify instances.
func InotifyFree(instances int) (err error) {
	for range instances {
		fd, failed := unix.InotifyInit1(unix.IN_CLOEXEC)
		if failed != nil {
			return fault.New("find %d free inotify instances for the node's programs", instances).Because(failed).
				Fix("raise the limit of the host: sysctl -w fs.inotify.max_user_instances=8192, and put it into /etc/sysctl.d/")
		}
		defer func() { err = errors.Join(err, unix.Close(fd)) }()
	}
	return nil
}

func readNumber(path string) (int, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	return n, nil
}

// ConntrackWritable says whether the size of the connection table can be set here. In a container, or another network
// namespace than the first one, it cannot: then tell kube-proxy not to try.
func ConntrackWritable() bool {
	const path = "/proc/sys/net/netfilter/nf_conntrack_max"
	now, err := os.ReadFile(path)
	return err == nil && writeExisting(path, strings.TrimSpace(string(now))) == nil
}

// InThrowAway runs f in a network and a mount namespace of its own, which end with it. It needs CAP_SYS_ADMIN. Where they cannot
// be made the error is ErrNoNamespace.
func InThrowAway(f func() error) error {
	result := make(chan error, 1)
	go func() { // ends with f; its thread is not given back, so that nothing else runs in the namespaces
		var err error
		defer func() { result <- err }()
		defer fault.Recover(&err)
		runtime.LockOSThread()
		if err = enterThrowAway(); err == nil {
			err = f()
		}
	}()
	return <-result
}

func enterThrowAway() error {
	if err := unix.Unshare(unix.CLONE_NEWNET | unix.CLONE_NEWNS); err != nil {
		return errors.Join(ErrNoNamespace, os.NewSyscallError("unshare", err))
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil { // so that no mount gets out
		return errors.Join(ErrNoNamespace, os.NewSyscallError("make mounts private", err))
	}
	return nil
}

// ErrNoNamespace says that a namespace could not be made.
var ErrNoNamespace = errors.New("no namespace of its own")

// ReadOnly says whether the file system of path refuses writes, and how many bytes are free there.
// A path that is not there yet is judged by its nearest parent.
func ReadOnly(path string) (readOnly bool, bytes uint64, err error) {
	for {
		var stat unix.Statfs_t
		err := unix.Statfs(path, &stat)
		if errors.Is(err, fs.ErrNotExist) && path != "/" {
			path = parent(path)
			continue
		}
		if err != nil {
			return false, 0, fmt.Errorf("%s: %w", path, err)
		}
		return stat.Flags&unix.ST_RDONLY != 0, stat.Bavail * uint64(stat.Bsize), nil
	}
}

func parent(path string) string {
	i := strings.LastIndexByte(strings.TrimRight(path, "/"), '/')
	if i <= 0 {
		return "/"
	}
	return path[:i]
}
