package payload

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// prune removes versions that are neither current nor previous and that no process was started from: a pod's shim of an older
// version lives as long as its pod, and needs the files beside it. What cannot be removed now is tried again at the next change.
func (s Store) prune() {
	entries, err := os.ReadDir(s.Dir)
	if err != nil {
		return
	}
	programs := runningPrograms()
	for _, e := range entries {
		if !isID(e.Name()) || s.is(currentLink, e.Name()) || s.is(previousLink, e.Name()) {
			continue
		}
		if path := filepath.Join(s.Dir, e.Name()); !inUse(path, programs) {
			s.discard(path)
		}
	}
}

// discard removes a version so that no moment shows half of it. One that is not there is fine.
func (s Store) discard(version string) error {
	scratch := filepath.Join(s.Dir, scratchMark+"old-"+filepath.Base(version))
	if err := os.RemoveAll(scratch); err != nil {
		return err
	}
	if err := os.Rename(version, scratch); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	return os.RemoveAll(scratch)
}

// removeScratch removes what a start that died has left. The caller holds the lock, so nobody works in there.
func (s Store) removeScratch() {
	entries, err := os.ReadDir(s.Dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), scratchMark) {
			os.RemoveAll(filepath.Join(s.Dir, e.Name()))
		}
	}
}

// isID tells whether a name could be one of Payload.ID: nothing else in the directory is touched.
func isID(name string) bool {
	return len(name) == 32 && strings.Trim(name, "0123456789abcdef") == ""
}

// runningPrograms are the files that the processes of this machine were started from, as far as we may know.
func runningPrograms() []string {
	links, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		return nil
	}
	var programs []string
	for _, l := range links {
		if program, err := os.Readlink(l); err == nil {
			programs = append(programs, program)
		}
	}
	return programs
}

// inUse tells whether one of the programs is below the directory. A directory that cannot be resolved counts as used.
func inUse(dir string, programs []string) bool {
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return true
	}
	for _, p := range programs {
		if strings.HasPrefix(p, real+"/") {
			return true
		}
	}
	return false
}
