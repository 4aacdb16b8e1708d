package testhost

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const cgroupRoot = "/sys/fs/cgroup"

// groups is the control group of one host: one folder per hierarchy, v1 (hybrid) or v2 only, as the machine has it.
type groups struct {
	v1   []string // folders in v1 hierarchies
	v2   string   // folder in the v2 hierarchy, empty when none is mounted
	leaf string   // v2: where processes go; a group that hands controllers down may hold none itself
}

func onlyV2() bool {
	var st unix.Statfs_t
	return unix.Statfs(cgroupRoot, &st) == nil && st.Type == unix.CGROUP2_SUPER_MAGIC
}

// hierarchies lists the mount points of v1 controllers and of v2 ("" when there is none).
func hierarchies() (v1 []string, v2 string) {
	if onlyV2() {
		return nil, cgroupRoot
	}
	entries, _ := os.ReadDir(cgroupRoot)
	for _, e := range entries {
		path := filepath.Join(cgroupRoot, e.Name())
		var st unix.Statfs_t
		if e.Type()&fs.ModeSymlink != 0 || unix.Statfs(path, &st) != nil {
			continue
		}
		switch st.Type {
		case unix.CGROUP_SUPER_MAGIC:
			v1 = append(v1, path)
		case unix.CGROUP2_SUPER_MAGIC:
			v2 = path
		}
	}
	return v1, v2
}

func cgroupsWritable() error {
	v1, v2 := hierarchies()
	if len(v1) == 0 && v2 == "" {
		return fmt.Errorf("nothing is mounted below %s", cgroupRoot)
	}
	for _, top := range append(v1, v2) {
		if top != "" && unix.Access(top, unix.W_OK) != nil {
			return fmt.Errorf("%s is read-only", top)
		}
	}
	return nil
}

// makeGroups makes the groups of one host below the lab's.
func makeGroups(lab, host string, memory int64) (*groups, error) {
	v1, v2 := hierarchies()
	g := &groups{}
	for _, top := range v1 {
		dir := filepath.Join(top, lab, host)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, fmt.Errorf("make cgroup: %w", err)
		}
		if err := inheritCpuset(top, lab, host); err != nil {
			return nil, err
		}
		g.v1 = append(g.v1, dir)
	}
	if v2 != "" {
		g.v2 = filepath.Join(v2, lab, host)
		g.leaf = g.v2
		if onlyV2() {
			g.leaf = filepath.Join(g.v2, "init")
		}
		if err := os.MkdirAll(g.leaf, 0o755); err != nil {
			return nil, fmt.Errorf("make cgroup: %w", err)
		}
		if onlyV2() {
			handDown(v2)
			handDown(filepath.Join(v2, lab))
		}
	}
	return g, g.limit(memory)
}

// inheritCpuset fills a new v1 cpuset, which is empty and would refuse processes.
func inheritCpuset(top, lab, host string) error {
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		value, err := os.ReadFile(filepath.Join(top, file))
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read cpuset: %w", err)
		}
		for _, dir := range []string{lab, filepath.Join(lab, host)} {
			if err := os.WriteFile(filepath.Join(top, dir, file), value, 0o644); err != nil {
				return fmt.Errorf("fill cpuset: %w", err)
			}
		}
	}
	return nil
}

// handDown enables every controller of a v2 group for the groups below; one that cannot be handed down is left out. In
// the machine's top group that stays so after the test: nearly every v2 machine has it that way already.
func handDown(dir string) {
	list, _ := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	for _, c := range strings.Fields(string(list)) {
		_ = os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+"+c), 0o644)
	}
}

func (g *groups) limit(memory int64) error {
	if memory == 0 {
		return nil
	}
	text := []byte(strconv.FormatInt(memory, 10))
	for _, dir := range g.v1 {
		file := filepath.Join(dir, "memory.limit_in_bytes")
		if _, err := os.Stat(file); err == nil {
			return os.WriteFile(file, text, 0o644)
		}
	}
	return os.WriteFile(filepath.Join(g.v2, "memory.max"), text, 0o644)
}

// joinThread moves the calling thread into the v1 groups; what it forks starts there. v2 groups are joined by the fork
// itself (see SysProcAttr.CgroupFD), because v2 moves only whole processes.
func (g *groups) joinThread() error {
	tid := []byte(strconv.Itoa(unix.Gettid()))
	for _, dir := range g.v1 {
		if err := os.WriteFile(filepath.Join(dir, "tasks"), tid, 0o644); err != nil {
			return fmt.Errorf("join cgroup: %w", err)
		}
	}
	return nil
}

// removeGroups removes the groups of a lab or of one host ("skt-x/host") once their last process is gone.
func removeGroups(name string) error {
	v1, v2 := hierarchies()
	var errs []error
	for _, top := range append(v1, v2) {
		if top != "" {
			errs = append(errs, removeGroup(filepath.Join(top, name)))
		}
	}
	return errors.Join(errs...)
}

func removeGroup(top string) error {
	var err error
	for range 100 { // killed processes leave their groups a moment later
		var dirs []string
		_ = filepath.WalkDir(top, func(path string, e fs.DirEntry, walkErr error) error {
			if walkErr == nil && e.IsDir() {
				dirs = append(dirs, path)
			}
			return nil
		})
		if err = nil; len(dirs) == 0 {
			return nil
		}
		for _, dir := range slices.Backward(dirs) {
			err = errors.Join(err, unix.Rmdir(dir))
		}
		time.Sleep(20 * time.Millisecond)
	}
	return fmt.Errorf("remove cgroup %s: %w", top, err)
}
