package host

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// CgroupVersion is what a host uses to limit processes.
type CgroupVersion string

const (
	// CgroupV1 is one hierarchy per controller.
	CgroupV1 CgroupVersion = "v1"
	// CgroupV2 is the single unified hierarchy.
	CgroupV2 CgroupVersion = "v2"
	// CgroupHybrid is v1 for the controllers, with an empty v2 tree beside them. Treat it as v1.
	CgroupHybrid CgroupVersion = "hybrid"
	// CgroupNone is a host without any.
	CgroupNone CgroupVersion = "none"
)

// Cgroups is how the host limits processes.
type Cgroups struct {
	Version     CgroupVersion
	Controllers []string // sorted: cpu, memory, pids, ...
	Mount       string   // of v2: the root of the tree as seen here
	// Own is the cgroup of this process, "/" on a plain host; another one tells of a container without its own cgroup namespace.
	Own string
}

// CgroupMode looks at what is mounted.
func CgroupMode() (Cgroups, error) {
	mounts, err := readMounts()
	if err != nil {
		return Cgroups{}, err
	}
	c := cgroupsOf(mounts)
	if c.Version == CgroupV2 {
		text, err := os.ReadFile(filepath.Join(c.Mount, "cgroup.controllers"))
		if err != nil {
			return Cgroups{}, fmt.Errorf("cgroup controllers: %w", err)
		}
		c.Controllers = strings.Fields(string(text))
		slices.Sort(c.Controllers)
	}
	if text, err := os.ReadFile("/proc/self/cgroup"); err == nil {
		c.Own = ownCgroup(text)
	}
	return c, nil
}

// cgroupsOf reads version and v1 controllers off the mounts.
func cgroupsOf(mounts []mount) Cgroups {
	c := Cgroups{Version: CgroupNone, Own: "/"}
	for _, m := range mounts {
		switch m.FSType {
		case "cgroup2":
			if c.Mount == "" {
				c.Mount = m.Point
			}
		case "cgroup":
			for _, option := range m.Options {
				if v1Controller(option) && !slices.Contains(c.Controllers, option) {
					c.Controllers = append(c.Controllers, option)
				}
			}
		}
	}
	slices.Sort(c.Controllers)
	switch {
	case len(c.Controllers) > 0 && c.Mount != "":
		c.Version = CgroupHybrid
	case len(c.Controllers) > 0:
		c.Version = CgroupV1
	case c.Mount != "":
		c.Version = CgroupV2
	}
	return c
}

// v1Controller tells controllers from the other mount options of a v1 hierarchy.
func v1Controller(option string) bool {
	switch option {
	case "blkio", "cpu", "cpuacct", "cpuset", "devices", "freezer", "hugetlb", "memory", "misc", "net_cls", "net_prio", "perf_event", "pids", "rdma":
		return true
	}
	return false
}

// ownCgroup reads /proc/self/cgroup: the path in the memory hierarchy, or in the unified one.
func ownCgroup(text []byte) string {
	own := "/"
	for line := range bytes.Lines(text) {
		f := strings.SplitN(strings.TrimSpace(string(line)), ":", 3) // 4:memory:/path
		if len(f) != 3 {
			continue
		}
		if slices.Contains(strings.Split(f[1], ","), "memory") {
			return f[2]
		}
		if f[0] == "0" {
			own = f[2]
		}
	}
	return own
}
