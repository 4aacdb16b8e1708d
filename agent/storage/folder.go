package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// folderMode lets every user in a pod write, as the volumes of k3s do; fsGroup of a pod changes it.
const folderMode = 0o777

// openRoot opens a storage directory. The operator may have made it a symbolic link; pods cannot change it.
func openRoot(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|unix.O_DIRECTORY, 0)
}

// openFolder opens a directory in another one: itself, no link to it, and nothing that is mounted there.
func openFolder(at *os.File, name string) (*os.File, error) {
	fd, err := openBelow(int(at.Fd()), name)
	switch {
	case errors.Is(err, unix.EXDEV):
		return nil, fmt.Errorf("something is mounted at %s in %s; unmount it", name, at.Name())
	case errors.Is(err, unix.ELOOP), errors.Is(err, unix.ENOTDIR):
		return nil, fmt.Errorf("%s in %s is not a directory but something else; remove it by hand", name, at.Name())
	case err != nil:
		return nil, &fs.PathError{Op: "open", Path: at.Name() + "/" + name, Err: err}
	}
	return os.NewFile(uintptr(fd), at.Name()+"/"+name), nil
}

// openBelow follows no links and enters no mount.
func openBelow(at int, name string) (int, error) {
	for {
		fd, err := unix.Openat2(at, name, &unix.OpenHow{
			Flags:   unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC,
			Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV,
		})
		if !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.EAGAIN) { // EAGAIN: something was renamed meanwhile
			return fd, err
		}
	}
}

// exists says that there is a directory; anything else of that name is an error.
func exists(at *os.File, name string) (bool, error) {
	dir, err := openFolder(at, name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, dir.Close()
}

// makeFolder makes a directory that every user may write to, or opens the one that is there and leaves it as it is.
func makeFolder(at *os.File, name string) (*os.File, error) {
	err := unix.Mkdirat(int(at.Fd()), name, 0o700)
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return nil, &fs.PathError{Op: "mkdir", Path: at.Name() + "/" + name, Err: err}
	}
	made := err == nil
	dir, err := openFolder(at, name)
	if err != nil || !made && !untouched(dir) {
		return dir, err
	}
	if err := dir.Chmod(folderMode); err != nil { // mkdir would apply the umask
		return nil, errors.Join(err, dir.Close())
	}
	return dir, nil
}

// untouched says that a directory is as mkdir left it: a crash came before its mode was set.
func untouched(dir *os.File) bool {
	info, err := dir.Stat()
	return err == nil && info.Mode().Perm() == 0o700
}

// removeFolder removes a directory that is empty.
func removeFolder(at *os.File, name string) error {
	err := unix.Unlinkat(int(at.Fd()), name, unix.AT_REMOVEDIR)
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return &fs.PathError{Op: "rmdir", Path: at.Name() + "/" + name, Err: err}
	}
	return nil
}

// sizeOf is how much the file system of a directory holds in all, in bytes.
func sizeOf(at *os.File) (uint64, error) {
	var s unix.Statfs_t
	if err := unix.Fstatfs(int(at.Fd()), &s); err != nil {
		return 0, &fs.PathError{Op: "statfs", Path: at.Name(), Err: err}
	}
	return s.Blocks * uint64(s.Bsize), nil
}
