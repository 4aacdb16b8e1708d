package payload

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Add unpacks one of the programs that wait until they are asked for into the directory of p's version, which Prepare has
// given. It does nothing when the program lies there. Errors wrap fs.ErrNotExist when p has no such program.
func (s Store) Add(p *Payload, name string) error {
	wanted, err := p.index.find(name)
	if err != nil {
		return err
	}
	dir := filepath.Join(s.Dir, p.ID())
	if wanted.in(dir) {
		return nil
	}
	unlock, err := s.lock()
	if err != nil {
		return explain(err, s.Dir)
	}
	defer unlock()
	if wanted.in(dir) { // another call was faster
		return nil
	}
	if err := s.room(wanted.size); err != nil {
		return explain(err, s.Dir)
	}
	scratch := filepath.Join(s.Dir, scratchMark+filepath.Base(name))
	err = p.unpackOne(name, scratch)
	if err == nil {
		err = os.Rename(scratch, filepath.Join(dir, name))
	}
	if err != nil {
		return explain(errors.Join(err, os.RemoveAll(scratch)), s.Dir)
	}
	return syncDir(filepath.Dir(filepath.Join(dir, name)))
}

// find is the file of that name.
func (x index) find(name string) (file, error) {
	for _, f := range x.files {
		if f.name == name {
			return f, nil
		}
	}
	return file{}, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
}

// unpackOne writes one program to a path and flushes it to the disk.
func (p *Payload) unpackOne(name, path string) error {
	out, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY|syscall.O_CLOEXEC, 0o755)
	if err != nil {
		return err
	}
	if err = p.extractOne(name, out); err == nil {
		err = out.Sync()
	}
	return errors.Join(err, out.Close())
}
