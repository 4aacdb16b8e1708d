package payload

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
)

// unpack makes the version's directory: beside its place first, flushed to the disk, then renamed. The caller holds the lock.
func (s Store) unpack(p *Payload) error {
	if err := s.room(p.Size()); err != nil {
		return err
	}
	scratch := filepath.Join(s.Dir, scratchMark+p.ID())
	if err := p.unpackTo(scratch); err != nil {
		return errors.Join(err, os.RemoveAll(scratch))
	}
	final := filepath.Join(s.Dir, p.ID())
	// What is in the way is a damaged version, otherwise Find had taken it. Its running programs keep their files.
	if err := s.discard(final); err != nil {
		return errors.Join(err, os.RemoveAll(scratch))
	}
	if err := os.Rename(scratch, final); err != nil {
		return errors.Join(err, os.RemoveAll(scratch))
	}
	return syncDir(s.Dir)
}

// room refuses to begin what cannot end well. The margin is for what else the file system writes meanwhile.
func (s Store) room(need int64) error {
	const margin = 8 << 20
	var fsys syscall.Statfs_t
	if err := syscall.Statfs(s.Dir, &fsys); err != nil {
		return nil // then the write itself will tell
	}
	free := int64(fsys.Bavail) * int64(fsys.Bsize)
	if free < need+margin {
		return fmt.Errorf("%d MB are needed and %d MB are free: %w", (need+margin)>>20, free>>20, syscall.ENOSPC)
	}
	return nil
}

// unpackTo fills a new directory and flushes all of it to the disk.
func (p *Payload) unpackTo(dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	for _, sub := range p.index.directories() {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return err
		}
	}
	for _, l := range p.index.links {
		if err := os.Symlink(l.target, filepath.Join(dir, l.name)); err != nil {
			return err
		}
	}
	if err := p.unpackFiles(dir); err != nil {
		return err
	}
	for _, sub := range p.index.directories() {
		if err := syncDir(filepath.Join(dir, sub)); err != nil {
			return err
		}
	}
	return nil
}

func (p *Payload) unpackFiles(dir string) (err error) {
	var made []*os.File
	defer func() {
		for _, f := range made {
			err = errors.Join(err, f.Close())
		}
	}()
	err = p.extract(func(f file) (io.WriterAt, error) {
		if f.later {
			return nil, nil
		}
		mode := fs.FileMode(0o644)
		if f.executable {
			mode = 0o755
		}
		out, err := os.OpenFile(filepath.Join(dir, f.name), os.O_CREATE|os.O_EXCL|os.O_WRONLY|syscall.O_CLOEXEC, mode)
		if err != nil {
			return nil, err
		}
		made = append(made, out)
		return out, nil
	})
	if err != nil {
		return err
	}
	return syncAll(made)
}

// syncAll flushes the files side by side, which a disk takes better than one after the other.
func syncAll(files []*os.File) error {
	failures := make([]error, len(files))
	var flush sync.WaitGroup
	for i, f := range files {
		flush.Go(func() { failures[i] = f.Sync() })
	}
	flush.Wait()
	return errors.Join(failures...)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// directories are all that the archive's names speak of, the top "." among them, a directory before what is in it.
func (x index) directories() []string {
	all := []string{"."}
	for _, f := range x.files {
		for d := filepath.Dir(f.name); d != "."; d = filepath.Dir(d) {
			all = append(all, d)
		}
	}
	for _, l := range x.links {
		for d := filepath.Dir(l.name); d != "."; d = filepath.Dir(d) {
			all = append(all, d)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// makeDirs makes a directory and its parents, and tells which of them are new, the innermost first.
func makeDirs(dir string) (made []string, err error) {
	for d := dir; ; d = filepath.Dir(d) {
		if _, err := os.Stat(d); err == nil || d == filepath.Dir(d) {
			break
		}
		made = append(made, d)
	}
	return made, os.MkdirAll(dir, 0o755)
}

// removeEmpty takes back what makeDirs made, as far as nothing is in it.
func removeEmpty(dirs []string) {
	for _, d := range dirs {
		if os.Remove(d) != nil {
			return
		}
	}
}
