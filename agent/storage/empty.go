package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

const (
	// batch is how many entries of a directory are looked at in one go.
	batch = 256
	// maxDepth bounds how many directories are open at a time. What lies deeper is moved up first.
	maxDepth = 32
)

// emptier removes what is in one directory. Pods may have put anything there, and may still be at work.
type emptier struct {
	top   *os.File
	moved int // how often something was moved up
}

// empty removes all that is in a directory, but not the directory. where is its path, for messages.
func empty(ctx context.Context, dir *os.File, where string) error {
	e := &emptier{top: dir}
	if err := e.sweep(ctx, dir, 0); err != nil {
		return fmt.Errorf("empty %s: %w", where, err)
	}
	return nil
}

// sweep removes the entries of a directory until there are none.
func (e *emptier) sweep(ctx context.Context, dir *os.File, depth int) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := dir.Seek(0, io.SeekStart); err != nil {
			return err
		}
		names, err := dir.Readdirnames(batch)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		var failed error
		gone := 0
		for _, name := range names {
			if err := e.drop(ctx, dir, name, depth); err != nil {
				failed = err
			} else {
				gone++
			}
		}
		if gone == 0 {
			return failed
		}
	}
}

// drop removes one entry. It tries as if it were a file: a link is removed, never followed.
func (e *emptier) drop(ctx context.Context, dir *os.File, name string, depth int) error {
	err := unix.Unlinkat(int(dir.Fd()), name, 0)
	if err == nil || errors.Is(err, unix.ENOENT) {
		return nil
	}
	if !errors.Is(err, unix.EISDIR) && !errors.Is(err, unix.EPERM) { // EPERM is what POSIX wants for a directory
		return wrong("remove", dir, name, err)
	}
	below := unix.Unlinkat(int(dir.Fd()), name, unix.AT_REMOVEDIR)
	switch {
	case below == nil || errors.Is(below, unix.ENOENT):
		return nil
	case errors.Is(below, unix.ENOTDIR):
		return wrong("remove", dir, name, err) // a file after all, that may not be removed
	case !errors.Is(below, unix.ENOTEMPTY) && !errors.Is(below, unix.EEXIST):
		return wrong("remove", dir, name, below)
	case depth >= maxDepth:
		return e.moveUp(dir, name)
	}
	inner, err := openFolder(dir, name)
	if err != nil {
		return ignoreGone(err)
	}
	if err := errors.Join(e.sweep(ctx, inner, depth+1), inner.Close()); err != nil {
		return err
	}
	return ignoreGone(removeFolder(dir, name))
}

// moveUp moves a directory to the top, where it is found again.
func (e *emptier) moveUp(dir *os.File, name string) error {
	for {
		e.moved++
		to := fmt.Sprintf(".skerry-removes-%d", e.moved)
		err := unix.Renameat2(int(dir.Fd()), name, int(e.top.Fd()), to, unix.RENAME_NOREPLACE)
		if !errors.Is(err, unix.EEXIST) {
			return ignoreGone(wrong("move", dir, name, err))
		}
	}
}

func wrong(what string, dir *os.File, name string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: what, Path: dir.Name() + "/" + name, Err: err}
}

func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
