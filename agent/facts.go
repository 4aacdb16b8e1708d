package agent

import (
	"bytes"
	"log/slog"
	"net/netip"
	"os"

	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/host"
)

// facts are what a host can and cannot do; each lack is told once, at the start.
type facts struct {
	cgroupV1      bool
	systemdCgroup bool
	keepOOMScore  bool
	keepConntrack bool
	logind        bool
}

func look(log *slog.Logger) (facts, error) {
	cgroups, err := host.CgroupMode()
	if err != nil {
		return facts{}, err
	}
	if cgroups.Version == host.CgroupNone {
		return facts{}, fault.New("this host has no cgroups").Fix("mount them, or run `skerry check-config` to see what the kernel lacks")
	}
	shared, err := host.MountPropagationShared("/")
	if err != nil {
		return facts{}, err
	}
	if !shared {
		return facts{}, fault.New("mounts below / do not propagate").Fix("mount --make-rshared /")
	}
	f := facts{
		cgroupV1:      cgroups.Version != host.CgroupV2,
		keepOOMScore:  !host.CanSetOOMScore(),
		keepConntrack: !host.ConntrackWritable(),
		logind:        exists("/run/systemd/seats") && exists("/run/dbus/system_bus_socket"),
	}
	f.systemdCgroup = !f.cgroupV1 && exists("/run/systemd/system")
	if f.cgroupV1 {
		log.Warn("this host has cgroup v1, which Kubernetes is about to leave behind; it works for now")
	}
	if f.keepOOMScore {
		log.Warn("this process may not lower OOM scores (no CAP_SYS_RESOURCE): when memory runs out, the kernel may end system pods first")
	}
	return f, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// resolvConf finds the file pods get their DNS servers from. A file that names only a resolver on the loopback is of no
// use inside a pod; systemd-resolved keeps the real servers elsewhere.
func resolvConf(configured string) (path string, found bool) {
	const stub, upstream = "/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"
	if configured != "" {
		return configured, true
	}
	text, err := os.ReadFile(stub)
	if err != nil {
		return "", false
	}
	if onlyLoopback(text) && exists(upstream) {
		return upstream, true
	}
	return stub, true
}

// onlyLoopback says that every nameserver of a resolv.conf listens on the host's loopback.
func onlyLoopback(text []byte) bool {
	found := false
	for line := range bytes.Lines(text) {
		words := bytes.Fields(line)
		if len(words) < 2 || string(words[0]) != "nameserver" {
			continue
		}
		if ip, err := netip.ParseAddr(string(words[1])); err != nil || !ip.IsLoopback() {
			return false
		}
		found = true
	}
	return found
}
