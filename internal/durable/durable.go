package durable

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// unfinished is how the name of a file ends that is still being written; a dot stands before it, so that those who look
// for files in a folder pass it by.
const unfinished = ".new"

// private is for files that are of root's concern alone.
const private fs.FileMode = 0o600

// Write replaces a file by what fill writes, readable by root alone. Its folder has to be there.
func Write(path string, fill func(io.Writer) error) error { return replace(path, private, fill) }

// WriteFile replaces a file by content. Folders that are missing are made, for root alone.
func WriteFile(path string, content []byte, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return replace(path, mode, func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	})
}

func replace(path string, mode fs.FileMode, fill func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*"+unfinished)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name()) // the first error is the one that counts
			err = fmt.Errorf("write %s: %w", path, err)
		}
	}()
	buffered := bufio.NewWriterSize(f, 64<<10)
	if err = fill(buffered); err == nil {
		err = buffered.Flush()
	}
	if err == nil {
		err = errors.Join(f.Chmod(mode), f.Sync())
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return Rename(f.Name(), path)
}

// Sweep removes from a folder what writes that a power cut ended have left. Nobody may be writing to it.
func Sweep(dir string) error {
	left, err := filepath.Glob(filepath.Join(escape(dir), ".*.*"+unfinished))
	for _, path := range left {
		err = errors.Join(err, Remove(path))
	}
	return err
}

// escape takes the meaning from the letters of a path that Glob would read as a pattern.
func escape(path string) string {
	var out []rune
	for _, r := range path {
		switch r {
		case '*', '?', '[', '\\':
			out = append(out, '\\')
		}
		out = append(out, r)
	}
	return string(out)
}

// Rename gives a file another name in the same file system.
func Rename(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	if err := SyncDir(filepath.Dir(to)); err != nil {
		return err
	}
	if filepath.Dir(from) == filepath.Dir(to) {
		return nil
	}
	return SyncDir(filepath.Dir(from))
}

// Remove takes a file away; one that is not there is no error.
func Remove(path string) error {
	err := os.Remove(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// SyncDir makes the names in a folder last.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
