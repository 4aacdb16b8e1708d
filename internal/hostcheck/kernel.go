package hostcheck

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/skerry-io/skerry/internal/host"
)

func kernelVersion(Options) Result {
	release, err := kernelRelease()
	if err != nil {
		return untried(err)
	}
	var major, minor int
	if _, err := fmt.Sscanf(release, "%d.%d", &major, &minor); err != nil {
		return warn("%s: a version of an unknown form", release)
	}
	if major < 5 || major == 5 && minor < 13 {
		return fail("%s", release).fix("use Linux 5.13 or newer: kube-proxy's nftables mode needs it")
	}
	return ok("%s", release)
}

func kernelRelease() (string, error) {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return "", err
	}
	return unix.ByteSliceToString(name.Release[:]), nil
}

func privileges(Options) Result {
	if os.Geteuid() != 0 {
		return warn("not root, so some checks are guesses").fix("run as root; a node needs it")
	}
	if !host.CanSetOOMScore() {
		return warn("no CAP_SYS_RESOURCE: pods run without their memory-killer score").fix("give the container or service this capability")
	}
	return ok("root, with CAP_SYS_RESOURCE")
}

func namespaces(Options) Result {
	missing := func(names ...string) []string {
		return slices.DeleteFunc(names, func(n string) bool {
			_, err := os.Stat("/proc/self/ns/" + n)
			return err == nil
		})
	}
	if m := missing("mnt", "net", "pid", "ipc", "uts"); len(m) > 0 {
		return fail("no %s", strings.Join(m, ", ")).fix("use a kernel with these namespaces")
	}
	if m := missing("user", "cgroup"); len(m) > 0 {
		return warn("no %s: pods with hostUsers: false will not start", strings.Join(m, ", "))
	}
	return ok("all")
}

// overlay mounts one on the file system of the data directory, because not every file system can carry it.
func overlay(o Options) Result {
	at := existing(o.DataDir)
	err := host.InThrowAway(func() error { return tryOverlay(at) })
	switch {
	case err == nil:
		return ok("works on %s", at)
	case errors.Is(err, host.ErrNoNamespace), errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return byConfig(err, "OVERLAY_FS")
	case errors.Is(err, unix.EROFS):
		return untried(err)
	}
	return fail("does not work on %s: %v", at, err).fix("modprobe overlay, or put --data-dir on ext4, xfs or btrfs, or set --snapshotter=native")
}

// tryOverlay leaves nothing but its mount behind, which ends with the mount namespace.
func tryOverlay(at string) (err error) {
	dir, err := os.MkdirTemp(at, ".skerry-check-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	for _, d := range []string{"lower", "upper", "work", "merged"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			return err
		}
	}
	merged := filepath.Join(dir, "merged")
	options := fmt.Sprintf("lowerdir=%[1]s/lower,upperdir=%[1]s/upper,workdir=%[1]s/work", dir)
	if err := unix.Mount("overlay", merged, "overlay", 0, options); err != nil {
		return err
	}
	probe := os.WriteFile(filepath.Join(merged, "probe"), nil, 0o600)
	return errors.Join(probe, unix.Unmount(merged, 0))
}

// existing gives the nearest directory above path that is there.
func existing(path string) string {
	for {
		if info, err := os.Stat(path); err == nil && info.IsDir() || path == "/" || path == "." {
			return path
		}
		path = filepath.Dir(path)
	}
}

func seccomp(Options) Result {
	if _, err := os.Stat("/proc/sys/kernel/seccomp/actions_avail"); err == nil {
		return ok("present")
	}
	if status, err := os.ReadFile("/proc/self/status"); err == nil && bytes.Contains(status, []byte("\nSeccomp:")) {
		return ok("present")
	}
	return warn("absent: pods run without system call filters").fix("use a kernel with CONFIG_SECCOMP_FILTER")
}

func securityModules(Options) Result {
	if text, err := os.ReadFile("/sys/module/apparmor/parameters/enabled"); err == nil && bytes.HasPrefix(text, []byte("Y")) {
		if !program("apparmor_parser") {
			return warn("AppArmor is on, but apparmor_parser is missing: pods run without profiles").fix("install the package apparmor")
		}
		return ok("AppArmor is on")
	}
	if text, err := os.ReadFile("/sys/fs/selinux/enforce"); err == nil {
		if bytes.HasPrefix(text, []byte("1")) {
			return warn("SELinux is enforcing; Skerry ships no policy").fix("install container-selinux, or setenforce 0")
		}
		return ok("SELinux is permissive")
	}
	return ok("neither AppArmor nor SELinux is on")
}

// program looks in the usual places rather than $PATH, which services do not have.
func program(name string) bool {
	for _, dir := range []string{"/usr/sbin", "/usr/bin", "/sbin", "/bin"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return true
		}
	}
	return false
}

// byConfig answers from the kernel's build configuration where a feature could not be tried.
func byConfig(why error, options ...string) Result {
	config, err := kernelConfig()
	if err != nil {
		return untried(why)
	}
	var missing []string
	for _, o := range options {
		if config[o] == "" {
			missing = append(missing, "CONFIG_"+o)
		}
	}
	if len(missing) > 0 {
		return fail("the kernel was built without %s", strings.Join(missing, ", ")).fix("use a kernel with it")
	}
	return ok("in the kernel's configuration (not tried: %v)", firstLine(why))
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// kernelConfig reads the options that are built in (y) or modules (m).
func kernelConfig() (map[string]string, error) {
	if packed, err := os.Open("/proc/config.gz"); err == nil {
		defer func() { _ = packed.Close() }() // only read
		plain, err := gzip.NewReader(packed)
		if err != nil {
			return nil, err
		}
		text, err := io.ReadAll(plain)
		return parseConfig(text), err
	}
	release, err := kernelRelease()
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile("/boot/config-" + release)
	return parseConfig(text), err
}

func parseConfig(text []byte) map[string]string {
	options := map[string]string{}
	for line := range strings.Lines(string(text)) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if name, config := strings.CutPrefix(key, "CONFIG_"); ok && config && (value == "y" || value == "m") {
			options[name] = value
		}
	}
	return options
}
