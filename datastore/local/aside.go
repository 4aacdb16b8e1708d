package local

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/skerry-io/skerry/internal/durable"
	"github.com/skerry-io/skerry/internal/fault"
)

// Exists says that there is a database in a directory.
func Exists(dir string) bool {
	for _, name := range []string{databaseFile, formerFile} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return true
		}
	}
	return false
}

// SetAside moves all that belongs to a database out of the way, when another engine has taken over what is in it, and gives the folder
// where it is then. The database goes last: as long as it is there, this can be done again.
func SetAside(dir string) (folder string, err error) {
	folder = filepath.Join(dir, "sqlite"+setAside)
	if Exists(folder) {
		folder += "-" + time.Now().UTC().Format("20060102-150405")
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", fault.New("set the database in %s aside", dir).Because(err).Fix("check that the disk is not full or read-only")
	}
	names := []string{checkpointFile, claimFile, lossFile, snapshotFolder}
	for _, database := range []string{formerFile, databaseFile} {
		for _, beside := range slices.Backward(besides()) {
			names = append(names, database+beside)
		}
	}
	for _, name := range names {
		err := durable.Rename(filepath.Join(dir, name), filepath.Join(folder, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", fault.New("set the database in %s aside", dir).Because(err).Fix("move %s away yourself", filepath.Join(dir, name))
		}
	}
	return folder, nil
}
