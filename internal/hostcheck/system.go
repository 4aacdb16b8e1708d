package hostcheck

import (
	"bytes"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/skerry-io/skerry/internal/host"
	"github.com/skerry-io/skerry/internal/version"
)

func cgroups(Options) Result {
	c, err := host.CgroupMode()
	if err != nil {
		return untried(err)
	}
	return judgeCgroups(c, existingFile("/boot/firmware/cmdline.txt", "/boot/cmdline.txt"))
}

// judgeCgroups looks for the controllers a kubelet needs. cmdline is where a Raspberry Pi keeps its boot options, "" elsewhere.
func judgeCgroups(c host.Cgroups, cmdline string) Result {
	if c.Version == host.CgroupNone {
		return fail("none is mounted").fix("mount -t cgroup2 cgroup2 /sys/fs/cgroup, or let the init system do it")
	}
	var missing []string
	for _, need := range []string{"cpu", "cpuset", "memory", "pids"} {
		if !slices.Contains(c.Controllers, need) {
			missing = append(missing, need)
		}
	}
	if len(missing) > 0 {
		r := fail("%s, without: %s", c.Version, strings.Join(missing, ", "))
		if cmdline != "" {
			return r.fix("add `cgroup_memory=1 cgroup_enable=memory` to the one line of %s and reboot", cmdline)
		}
		return r.fix("boot the kernel with cgroup_enable=memory, or use one with these controllers")
	}
	if c.Version != host.CgroupV2 {
		return warn("%s: works, but Kubernetes is about to drop it", c.Version).fix("boot with systemd.unified_cgroup_hierarchy=1, or a newer system")
	}
	return ok("%s", c.Version)
}

func existingFile(paths ...string) string {
	for _, p := range paths {
		if _, err := os.Stat(p); err == nil {
			return p
		}
	}
	return ""
}

func propagation(Options) Result {
	shared, err := host.MountPropagationShared("/")
	if err != nil {
		return untried(err)
	}
	if !shared {
		return fail("/ is private: a node does not start, as volumes could not reach pods").fix("mount --make-rshared / (in a container: start it with rshared)")
	}
	return ok("/ is shared")
}

func nodeName(o Options) Result {
	name := o.NodeName
	if name == "" {
		var err error
		if name, err = os.Hostname(); err != nil {
			return untried(err)
		}
	}
	return judgeName(name)
}

// judgeName wants what Kubernetes calls a DNS subdomain, once in lower case.
func judgeName(name string) Result {
	lower := strings.ToLower(name)
	label := regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
	switch {
	case len(lower) > 253 || !label.MatchString(lower):
		return fail("%q cannot name a node", name).fix("set --node-name, or rename the host with letters, digits and hyphens: hostnamectl set-hostname NAME")
	case lower == "localhost" || strings.HasPrefix(lower, "localhost."):
		return warn("%q will clash with the next node of that name", name).fix("hostnamectl set-hostname NAME, or set --node-name")
	case lower != name:
		return info("the node will be called %s", lower)
	}
	return ok("%s", lower)
}

func clock(Options) Result {
	now := time.Now()
	if now.Before(version.Earliest()) {
		return warn("says %s", now.UTC().Format(time.DateOnly)).fix("date -s, or a time service (systemd-timesyncd, chrony) that starts before Skerry")
	}
	return ok("%s", now.UTC().Format(time.DateTime))
}

func disk(o Options) Result {
	readOnly, free, err := host.ReadOnly(o.DataDir)
	if err != nil {
		return untried(err)
	}
	return judgeDisk(o.DataDir, readOnly, free)
}

// judgeDisk: the unpacked programs take about 200 MB, and the kubelet starts to evict pods below a tenth of a disk.
func judgeDisk(dir string, readOnly bool, free uint64) Result {
	const mega, giga = 1 << 20, 1 << 30
	switch {
	case readOnly:
		return fail("%s is on a read-only file system", dir).fix("mount it for writing, or choose another --data-dir")
	case free < 500*mega:
		return fail("%d MB free at %s", free/mega, dir).fix("free 500 MB at least, or choose another --data-dir")
	case free < 2*giga:
		return warn("%d MB free at %s: little room for images", free/mega, dir).fix("free some, or choose another --data-dir")
	}
	return ok("%d GB free at %s", free/giga, dir)
}

func swap(Options) Result {
	text, err := os.ReadFile("/proc/swaps")
	if err == nil && bytes.Count(text, []byte("\n")) > 1 {
		return info("on; pods do not use it")
	}
	return ok("off")
}

func inotify(Options) Result {
	limits, err := host.InotifyLimits()
	if err != nil {
		return untried(err)
	}
	if limits.Low() {
		return warn("%d watches, %d instances: few for a node", limits.Watches, limits.Instances).
			fix("sysctl -w fs.inotify.max_user_watches=524288 fs.inotify.max_user_instances=8192, and put both into /etc/sysctl.d/")
	}
	return ok("%d watches, %d instances", limits.Watches, limits.Instances)
}

func openFiles(Options) Result {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return untried(err)
	}
	if limit.Max < 65536 && !host.CanRaiseRlimits() {
		return warn("at most %d", limit.Max).fix("raise the hard limit: LimitNOFILE=1048576 in the service, or ulimit -n")
	}
	return ok("up to %d", limit.Max)
}

func otherRuntimes(Options) Result {
	var found []string
	for _, r := range []struct{ name, socket string }{
		{"Docker", "/run/docker.sock"}, {"containerd", "/run/containerd/containerd.sock"}, {"CRI-O", "/run/crio/crio.sock"},
		{"Podman", "/run/podman/podman.sock"}, {"k3s", "/run/k3s/containerd/containerd.sock"}, {"k0s", "/run/k0s/containerd.sock"},
	} {
		if _, err := os.Stat(r.socket); err == nil {
			found = append(found, r.name)
		}
	}
	if len(found) == 0 {
		return ok("none")
	}
	return info("%s; Skerry brings its own and leaves it alone", strings.Join(found, ", "))
}
