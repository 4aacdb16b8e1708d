package vault

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/skerry-io/skerry/internal/durable"
	"github.com/skerry-io/skerry/internal/fault"
)

const (
	// aside is added, with the time, to the name of what was there before.
	aside = ".before-"
	stamp = "20060102-150405"
)

// exchange puts a directory that was built in place of another one, at once, and gives where that lies from then on: "" when there was
// none, or nothing in it. The other name is taken first, so that whatever happens nothing of the old is under a name that is cleared away.
// When it fails the old one is in its place.
func exchange(built, dir string, now time.Time) (kept string, err error) {
	if err := settle(built); err != nil {
		return "", err
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		if err := durable.Rename(built, dir); err != nil {
			_ = os.Rename(dir, built) // where only the name did not become lasting
			return "", err
		}
		return "", nil
	}
	if err != nil {
		return "", err
	}
	kept = dir + aside + now.UTC().Format(stamp)
	if _, err := os.Lstat(kept); err == nil {
		return "", fault.New("put %s aside: %s is there already", dir, kept).Fix("try again in a second")
	}
	if err := durable.Rename(built, kept); err != nil {
		return "", err
	}
	if err := unix.Renameat2(unix.AT_FDCWD, kept, unix.AT_FDCWD, dir, unix.RENAME_EXCHANGE); err != nil {
		return "", errors.Join(fault.New("put %s aside", dir).Because(err).Fix("move it aside yourself, and try again"), os.Rename(kept, built))
	}
	if err := durable.SyncDir(filepath.Dir(dir)); err != nil {
		return "", errors.Join(err, unix.Renameat2(unix.AT_FDCWD, kept, unix.AT_FDCWD, dir, unix.RENAME_EXCHANGE), os.Rename(kept, built))
	}
	if len(entries) == 0 && os.Remove(kept) == nil {
		return "", nil
	}
	return kept, nil
}

// settle makes the names of all directories in a tree last; files were written so that theirs do.
func settle(root string) error {
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		return durable.SyncDir(path)
	})
}
