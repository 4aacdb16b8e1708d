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

// tidy removes what labs of killed test binaries left. The caller has made sure that no lab is open:
// their hosts ended with the test binary (see lifeline), what can be left are sysctls, files, mounts and empty cgroups.
func tidy() {
	_ = restoreSysctls() // a leftover that resists must not fail a new test
	for _, dir := range openLabs() {
		_ = remove(dir, filepath.Base(dir))
	}
}

// openLabs are the folders of labs: of those that are open, and of those that were killed, until they are tidied up.
func openLabs() []string {
	labs, _ := filepath.Glob(filepath.Join(os.TempDir(), "skt-*"))
	return slices.DeleteFunc(labs, func(dir string) bool {
		info, err := os.Stat(dir)
		return err != nil || !info.IsDir()
	})
}

// remove takes away one lab: its cgroups, mounts and files.
func remove(dir, id string) error {
	return errors.Join(removeGroups(id), unmountBelow(dir), removeAll(dir))
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
