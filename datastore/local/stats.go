package local

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/skerry-io/skerry/datastore"
	"github.com/skerry-io/skerry/datastore/wear"
)

// writtenFile keeps how much was written on which day.
const writtenFile = "written"

// afterAll is behind every key that there can be.
const afterAll = "\xff"

// Stats is what the datastore knows of itself; what it takes on the disk is all of its directory, with snapshots.
func (s *store) Stats(ctx context.Context) (found datastore.Stats, err error) {
	if found.Size, err = sizeOf(s.keeper.config.Dir); err != nil {
		return found, err
	}
	if found.Revision, found.Keys, err = s.Count(ctx, "", afterAll, 0); err != nil {
		return found, err
	}
	found.Compacted = s.Compacted()
	count := s.meter.Count()
	found.Written = &count
	all, err := s.keeper.ring.List()
	if len(all) > 0 {
		found.Snapshot = all[0].Time
	}
	return found, err
}

// sizeOf is what the files in a directory take, in bytes.
func sizeOf(dir string) (bytes int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return ignoreGone(err)
		}
		info, err := entry.Info()
		if err == nil {
			bytes += info.Size()
		}
		return ignoreGone(err)
	})
	return bytes, err
}

// ignoreGone forgives a file that went away meanwhile.
func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// counted is the meter of a directory.
func (c Config) counted() *wear.Meter { return wear.Open(c.path(writtenFile)) }

// remember writes the count down at the end, with what the end itself has written.
func (c Config) remember(meter *wear.Meter) error {
	if checkpoint, err := os.Stat(c.path(checkpointFile)); err == nil {
		meter.Add(checkpoint.Size())
	}
	return meter.Save()
}
