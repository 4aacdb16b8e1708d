package payload

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/skerry-io/skerry/internal/fault"
)

// Store is the directory that holds the unpacked versions, one directory each, named by Payload.ID.
// The link "current" names the version that ran last and "previous" the one before: these two are kept for a way back.
type Store struct{ Dir string }

const (
	currentLink  = "current"
	previousLink = "previous"
	lockName     = ".lock"
	scratchMark  = ".unpacking-" // begins the name of a directory that is not complete, or no longer
)

// Find gives the directory of p's programs if it is there and complete. It changes nothing and needs no lock.
func (s Store) Find(p *Payload) (dir string, ok bool) {
	dir = filepath.Join(s.Dir, p.ID())
	for _, f := range p.index.files {
		if !f.later && !f.in(dir) {
			return "", false
		}
	}
	for _, l := range p.index.links {
		if target, err := os.Readlink(filepath.Join(dir, l.name)); err != nil || target != l.target {
			return "", false
		}
	}
	return dir, true
}

// in tells whether the file lies in a version's directory.
func (f file) in(dir string) bool {
	info, err := os.Lstat(filepath.Join(dir, f.name))
	return err == nil && info.Mode().IsRegular() && info.Size() == f.size
}

// Prepare gives the directory of p's programs and unpacks them first where needed. Of several that call it at once, in one or in
// several processes, one unpacks and the others wait. When it fails, nothing of the attempt is left.
func (s Store) Prepare(p *Payload) (string, error) {
	if dir, ok := s.Find(p); ok && s.is(currentLink, p.ID()) {
		return dir, nil
	}
	made, err := makeDirs(s.Dir)
	if err != nil {
		return "", explain(err, s.Dir)
	}
	dir, err := s.prepareLocked(p)
	if err != nil {
		removeEmpty(made)
		return "", err
	}
	return dir, nil
}

func (s Store) prepareLocked(p *Payload) (string, error) {
	unlock, err := s.lock()
	if err != nil {
		return s.orFind(p, explain(err, s.Dir))
	}
	defer unlock()
	dir, ok := s.Find(p) // another start may have done it while this one waited for the lock
	if !ok {
		s.removeScratch()
		if err := s.unpack(p); err != nil {
			os.Remove(filepath.Join(s.Dir, lockName))
			return "", explain(err, s.Dir)
		}
		dir = filepath.Join(s.Dir, p.ID())
	}
	if err := s.promote(p.ID()); err != nil {
		return s.orFind(p, explain(err, s.Dir))
	}
	if !ok {
		s.prune()
	}
	return dir, nil
}

// orFind makes do with a complete version that only the book-keeping failed for, as on a read-only file system.
func (s Store) orFind(p *Payload, err error) (string, error) {
	if dir, ok := s.Find(p); ok {
		return dir, nil
	}
	return "", err
}

// lock waits until no other process changes the store. The kernel lets go of the lock when its holder dies.
func (s Store) lock() (unlock func(), err error) {
	path := filepath.Join(s.Dir, lockName)
	for {
		if err := os.MkdirAll(s.Dir, 0o755); err != nil {
			return nil, err
		}
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|syscall.O_CLOEXEC, 0o600)
		if err != nil {
			return nil, err
		}
		if err := flock(f); err != nil {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		if isStill(f, path) {
			return func() { f.Close() }, nil
		}
		f.Close() // who held it before has failed and taken the file away
	}
}

func flock(f *os.File) error {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// isStill tells whether the path leads to the open file.
func isStill(f *os.File, path string) bool {
	held, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(path)
	return err == nil && os.SameFile(held, there)
}

// is tells whether one of the two links names the version.
func (s Store) is(name, id string) bool {
	target, err := os.Readlink(filepath.Join(s.Dir, name))
	return err == nil && target == id
}

// promote makes a version the current one, and what was current the previous one.
func (s Store) promote(id string) error {
	old, err := os.Readlink(filepath.Join(s.Dir, currentLink))
	switch {
	case err == nil && old == id:
		return nil
	case err == nil:
		if err := s.setLink(previousLink, old); err != nil {
			return err
		}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return s.setLink(currentLink, id)
}

// setLink replaces a link in one step.
func (s Store) setLink(name, target string) error {
	scratch := filepath.Join(s.Dir, scratchMark+name)
	if err := os.RemoveAll(scratch); err != nil {
		return err
	}
	if err := os.Symlink(target, scratch); err != nil {
		return err
	}
	return os.Rename(scratch, filepath.Join(s.Dir, name))
}

// explain adds to an error of the file system what an operator can do about it.
func explain(err error, dir string) error {
	f := fault.New("unpack the programs to %s", dir).Because(err)
	switch {
	case errors.Is(err, errDamaged):
		return f.Fix("this copy of the program is incomplete; download it again")
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return f.Fix("make room on that file system, or give another directory with --data-dir")
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return f.Fix("run as root, or give a directory that you may write to with --data-dir")
	}
	return f
}
