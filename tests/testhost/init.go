package testhost

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

const (
	initName   = "skt-init"
	buildStage = "build" // builds the mounts, then executes itself as
	reapStage  = "reap"  // the host's PID 1 for the rest of its life
	upAnswer   = "up"
	readyFD    = 3
	lifelineFD = 4
	mainRan    = "SKT_MAIN" // says that Main was called, so that a host's PID 1 will not run the tests again
)

// initPlan is what a host's PID 1 builds before the host is up.
type initPlan struct {
	Hostname string
	Disk     string            // private folders are below it, named as in the host
	Programs map[string]string // name in /usr/local/bin to file of the machine
	ReadOnly []string
	V1       []string // names of v1 cgroup hierarchies
	V2       bool
	OnlyV2   bool
}

// Main runs the tests of a package that uses hosts; its TestMain calls it and nothing else.
func Main(m *testing.M) {
	if os.Args[0] != initName {
		_ = os.Setenv(mainRan, "yes")
		allowFiles()
		m.Run()
		return
	}
	if os.Args[1] == buildStage {
		runtime.LockOSThread() // the new cgroup namespace is this thread's
		report(build(os.Args[2]))
		return
	}
	reap()
}

// allowFiles raises the soft limit of open files to the hard one, for the programs that the tests start too.
func allowFiles() {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) == nil {
		limit.Cur = limit.Max
		_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
	}
}

func report(err error) {
	_, _ = fmt.Fprintf(os.NewFile(readyFD, "ready"), "%v", err)
}

// build returns only with an error: on success the process has become the reaper.
func build(text string) error {
	var plan initPlan
	if err := json.Unmarshal([]byte(text), &plan); err != nil {
		return fmt.Errorf("decode the plan: %w", err)
	}
	// Hidden soon by the host's own folders, so taken hold of first.
	disks, err := plan.openDisks()
	if err != nil {
		return err
	}
	if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
		return fmt.Errorf("make a cgroup namespace: %w", err)
	}
	if err := unix.Sethostname([]byte(plan.Hostname)); err != nil {
		return fmt.Errorf("set the hostname: %w", err)
	}
	if err := plan.mount(disks); err != nil {
		return err
	}
	return syscall.Exec("/proc/self/exe", []string{initName, reapStage}, nil)
}

// openDisks clones the private folders as mounts that are not attached anywhere yet.
func (p initPlan) openDisks() (map[string]int, error) {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return nil, fmt.Errorf("make mounts private: %w", err)
	}
	for name, file := range p.Programs {
		target := filepath.Join(p.Disk, "usr/local/bin", name)
		if err := unix.Mount(file, target, "", unix.MS_BIND, ""); err != nil {
			return nil, fmt.Errorf("show %s as %s: %w", file, name, err)
		}
	}
	disks := map[string]int{}
	for _, dir := range privateFolders() {
		source := filepath.Join(p.Disk, dir)
		fd, err := unix.OpenTree(unix.AT_FDCWD, source, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
		if err != nil {
			return nil, fmt.Errorf("clone the mount of %s: %w", source, err)
		}
		disks[dir] = fd
	}
	return disks, nil
}

func (p initPlan) mount(disks map[string]int) error {
	if err := hideMachine(append([]string{"/sys", "/run", "/dev/shm", "/dev/pts"}, privateFolders()...)); err != nil {
		return err
	}
	for dir, fd := range disks {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if err := unix.MoveMount(fd, "", unix.AT_FDCWD, dir, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
			return fmt.Errorf("mount %s: %w", dir, err)
		}
	}
	for _, m := range p.fresh() {
		if err := os.MkdirAll(m.at, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.kind, m.at, m.kind, m.flags, m.data); err != nil {
			return fmt.Errorf("mount %s on %s: %w", m.kind, m.at, err)
		}
	}
	if p.OnlyV2 { // a group that hands controllers down may hold no process itself
		if err := os.WriteFile(filepath.Join(cgroupRoot, "init/cgroup.procs"), []byte("1"), 0o644); err != nil {
			return fmt.Errorf("move PID 1 to its leaf group: %w", err)
		}
		handDown(cgroupRoot)
	}
	for _, path := range p.ReadOnly {
		if err := makeReadOnly(path); err != nil {
			return err
		}
	}
	if err := os.MkdirAll("/run/lock", 0o755); err != nil {
		return err
	}
	return unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, "")
}

type freshMount struct {
	kind, at, data string
	flags          uintptr
}

// fresh lists, in order, the file systems that the kernel makes for this host's namespaces.
func (p initPlan) fresh() []freshMount {
	all := []freshMount{
		{kind: "proc", at: "/proc"},
		{kind: "sysfs", at: "/sys"},
		{kind: "tmpfs", at: "/run", data: "mode=755"},
		{kind: "tmpfs", at: "/dev/shm", data: "mode=1777"},
		{kind: "devpts", at: "/dev/pts", data: "mode=620,ptmxmode=666,gid=5"},
	}
	if p.OnlyV2 {
		return append(all, freshMount{kind: "cgroup2", at: cgroupRoot})
	}
	all = append(all, freshMount{kind: "tmpfs", at: cgroupRoot, data: "mode=755"})
	for _, name := range p.V1 {
		data := name
		if name == "systemd" {
			data = "none,name=systemd"
		}
		all = append(all, freshMount{kind: "cgroup", at: filepath.Join(cgroupRoot, name), data: data})
	}
	if p.V2 {
		all = append(all, freshMount{kind: "cgroup2", at: filepath.Join(cgroupRoot, "unified")})
	}
	return all
}

// hideMachine unmounts what the machine has mounted in or below the folders, which the host is to have afresh: programs
// that look through the mount table would find the machine's under the same names.
func hideMachine(folders []string) error {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return fmt.Errorf("read the mount table: %w", err)
	}
	for _, line := range slices.Backward(strings.Split(string(table), "\n")) {
		f := strings.Fields(line)
		if len(f) < 5 {
			continue
		}
		for _, dir := range folders {
			if f[4] == dir || strings.HasPrefix(f[4], dir+"/") {
				_ = unix.Unmount(f[4], unix.MNT_DETACH) // gone with its parent already
			}
		}
	}
	return nil
}

func makeReadOnly(path string) error {
	if err := unix.Mount(path, path, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("bind %s: %w", path, err)
	}
	if err := unix.Mount("", path, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("make %s read-only: %w", path, err)
	}
	return nil
}

// reap is PID 1: it collects orphans, ignores polite signals, and ends, and the host with it, when the test binary does.
func reap() {
	signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGPIPE)
	children := make(chan os.Signal, 1)
	signal.Notify(children, syscall.SIGCHLD)
	ready := os.NewFile(readyFD, "ready")
	_, _ = ready.WriteString(upAnswer)
	_ = ready.Close()
	cut := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.NewFile(lifelineFD, "lifeline"))
		close(cut)
	}()
	for {
		select {
		case <-cut:
			return
		case <-children:
			for {
				if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); err != nil || pid <= 0 {
					break
				}
			}
		}
	}
}
