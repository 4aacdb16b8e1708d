package shelf

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/skerry-io/skerry/internal/durable"
	"github.com/skerry-io/skerry/internal/fault"
)

// Directory is a shelf on this machine.
type Directory string

// String is its path.
func (d Directory) String() string { return string(d) }

// List is Shelf's.
func (d Directory) List(context.Context) ([]Item, error) {
	entries, err := os.ReadDir(string(d))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New("list backups").Because(err).Fix("name a directory, or s3://BUCKET/FOLDER")
	}
	var all []Item
	for _, entry := range entries {
		info, gone := entry.Info()
		if gone != nil || !info.Mode().IsRegular() {
			continue
		}
		if item, ours := parse(entry.Name(), info.Size()); ours {
			all = append(all, item)
		}
	}
	return newestFirst(all), nil
}

// Put is Shelf's.
func (d Directory) Put(ctx context.Context, name string, fill func(io.Writer) error) (int64, error) {
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return 0, fault.New("make the directory of backups").Because(err).Fix("give a directory on a disk that can be written")
	}
	path := filepath.Join(string(d), name)
	to := &counter{ctx: ctx}
	var filled error
	err := durable.Write(path, func(w io.Writer) error {
		to.Writer = w
		filled = fill(to)
		return filled
	})
	switch {
	case to.failed != nil:
		err = to.failed
	case err == nil || filled != nil: // which is not about the place
		return to.count, err
	}
	return to.count, fault.New("write the backup to %s", path).Because(err).Fix("give a place that has room and can be written")
}

// Open is Shelf's.
func (d Directory) Open(_ context.Context, name string) (io.ReadCloser, int64, error) {
	f, err := os.Open(filepath.Join(string(d), name))
	if err != nil {
		return nil, 0, fault.New("open the backup").Because(err).Fix("`skerry backup list --from %s` lists those that are there", d)
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = errors.New("it is a directory")
	}
	if err != nil {
		return nil, 0, errors.Join(fmt.Errorf("open the backup: %w", err), f.Close())
	}
	if !info.Mode().IsRegular() {
		return f, -1, nil
	}
	return f, info.Size(), nil
}

// Remove is Shelf's.
func (d Directory) Remove(_ context.Context, name string) error {
	return durable.Remove(filepath.Join(string(d), name))
}

// counter counts what is written, and ends with its context.
type counter struct {
	io.Writer
	ctx    context.Context //nolint:containedctx // a Writer has no other way to be told
	count  int64
	failed error // why it could not be written
}

// Write is io.Writer's.
func (c *counter) Write(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.Writer.Write(p)
	c.count += int64(n)
	if err != nil {
		c.failed = err
	}
	return n, err
}
