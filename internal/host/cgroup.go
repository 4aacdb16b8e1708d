package host

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/skerry-io/skerry/internal/fault"
)

// Cgroup is a subtree of every mounted cgroup hierarchy that the kubelet makes, such as /kubepods. Apply only records
// it; undo kills what is inside and removes it.
type Cgroup struct {
	Path string `json:"path"`
}

func (c Cgroup) kind() string { return "cgroup" }
func (c Cgroup) id() string   { return c.Path }
func (c Cgroup) live() bool   { return true }
func (c Cgroup) apply() error { return nil }

func (c Cgroup) before(known json.RawMessage) (json.RawMessage, error) {
	return beforePresence(known, func() (bool, error) {
		trees, err := c.trees()
		return len(trees) > 0, err
	})
}

func (c Cgroup) undo(ctx context.Context, before json.RawMessage) (string, error) {
	if existed, err := existedBefore(before); err != nil || existed {
		return notOurs, err
	}
	trees, err := c.trees()
	if err != nil {
		return "", err
	}
	for _, tree := range trees {
		if err := endCgroup(ctx, tree); err != nil {
			return "", err
		}
	}
	return "", nil
}

// trees lists the directories of this cgroup, one per mounted hierarchy that has it.
func (c Cgroup) trees() ([]string, error) {
	mounts, err := readMounts()
	if err != nil {
		return nil, err
	}
	var trees []string
	for _, m := range mounts {
		dir := filepath.Join(m.Point, c.Path)
		if m.FSType != "cgroup" && m.FSType != "cgroup2" || slices.Contains(trees, dir) {
			continue
		}
		if _, err := os.Stat(dir); err == nil {
			trees = append(trees, dir)
		}
	}
	return trees, nil
}

// cgroupPatience is how long killed processes may take to leave: one in the middle of disk input or output needs that
// to end.
const cgroupPatience = 10 * time.Second

// endCgroup kills all processes of a tree and removes it, leaves first.
func endCgroup(ctx context.Context, tree string) error {
	ctx, stop := context.WithTimeout(ctx, cgroupPatience)
	defer stop()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		dirs, err := cgroupDirs(tree)
		if err != nil {
			return err
		}
		pids, err := killCgroup(dirs)
		if err != nil {
			return err
		}
		if len(pids) == 0 && removeDirs(dirs) {
			return nil
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return fault.New("remove cgroup %s", tree).Because(fmt.Errorf("processes %v do not end: %w", pids, ctx.Err())).
				Fix("look at them with: ps -o pid,stat,wchan,args -p PID; state D waits for a disk or a network file system")
		}
	}
}

// cgroupDirs lists a tree, leaves first.
func cgroupDirs(tree string) ([]string, error) {
	var dirs []string
	err := filepath.WalkDir(tree, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // ended meanwhile
		}
		if err == nil && d.IsDir() {
			dirs = append(dirs, path)
		}
		return err
	})
	slices.Reverse(dirs)
	return dirs, err
}

// killCgroup kills the members of the cgroups and lists them. It refuses to kill this very process.
func killCgroup(dirs []string) ([]int, error) {
	var all []int
	for _, dir := range dirs {
		// A frozen process does not die before it is thawed; the files are there on v1 and v2 respectively.
		_ = writeExisting(filepath.Join(dir, "freezer.state"), "THAWED")
		_ = writeExisting(filepath.Join(dir, "cgroup.freeze"), "0")
		text, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
		if err != nil {
			continue // ended meanwhile, or a threaded one whose parent lists the process
		}
		all = append(all, parsePIDs(text)...)
	}
	if slices.Contains(all, os.Getpid()) {
		return nil, fault.New("this command runs inside a pod").Fix("run it on the host")
	}
	for _, pid := range all {
		if p, err := os.FindProcess(pid); err == nil {
			_ = p.Kill() // already gone is fine, anything else shows as a cgroup that stays
		}
	}
	return all, nil
}

// writeExisting writes to a file that must exist: the one of another cgroup version does not.
func writeExisting(path, text string) error {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	return errors.Join(err, file.Close())
}

// removeDirs removes what it can, and says whether nothing is left.
func removeDirs(dirs []string) bool {
	done := true
	for _, dir := range dirs {
		if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			done = false
		}
	}
	return done
}

func parsePIDs(text []byte) []int {
	var pids []int
	for _, word := range bytes.Fields(text) {
		if pid, err := strconv.Atoi(string(word)); err == nil && pid > 0 {
			pids = append(pids, pid)
		}
	}
	return pids
}
