package testhost

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// tidy removes what labs of killed test binaries left. The caller holds the machine's turn, so none of them is alive:
// their hosts ended with the test binary (see lifeline), what can be left are files, mounts and empty cgroups.
func tidy() {
	old, _ := filepath.Glob(filepath.Join(os.TempDir(), "skt-*"))
	for _, dir := range old {
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			_ = remove(dir, filepath.Base(dir)) // a leftover that resists must not fail a new test
		}
	}
}

// remove takes away one lab: its sysctl changes, cgroups, mounts and files.
func remove(dir, id string) error {
	return errors.Join(restoreSysctls(dir), removeGroups(id), unmountBelow(dir), removeAll(dir))
}

func unmountBelow(dir string) error {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return fmt.Errorf("read the mount table: %w", err)
	}
	var mounts []string
	for line := range strings.Lines(string(table)) {
		if f := strings.Fields(line); len(f) > 4 && strings.HasPrefix(f[4], dir+"/") {
			mounts = append(mounts, f[4])
		}
	}
	slices.Reverse(mounts)
	var errs []error
	for _, m := range mounts {
		if err := unix.Unmount(m, unix.MNT_DETACH); err != nil {
			errs = append(errs, fmt.Errorf("unmount %s: %w", m, err))
		}
	}
	return errors.Join(errs...)
}

// removeAll tries for a while: the kernel lets go of a killed host's overlay mounts a moment after the kill.
func removeAll(dir string) error {
	var err error
	for range 50 {
		if err = os.RemoveAll(dir); err == nil {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return err
}
