package vault

import (
	"context"
	"errors"
	"io"

	"github.com/skerry-io/skerry/datastore/backup"
	"github.com/skerry-io/skerry/datastore/engine"
	"github.com/skerry-io/skerry/internal/fault"
)

// Backup is one that lies somewhere.
type Backup struct {
	// Open opens it; a restore does so twice.
	Open func(context.Context) (from io.ReadCloser, size int64, err error)
	Key  *backup.Key
	// Progress, if set, is told how many bytes were read, and of how many; of is -1 when that is not known.
	Progress func(what string, done, of int64)
}

// Checked is a backup that was read to its end, and is one that a cluster can be restored from.
type Checked struct {
	Manifest backup.Manifest
	Summary  backup.Summary
	Files    []backup.File
}

// Check reads the whole backup, and refuses one that no cluster could be restored from: all that a cluster cannot do without has to be
// there, and nothing that is no part of one.
func (b Backup) Check(ctx context.Context) (*Checked, error) {
	c, seen, err := &Checked{}, &completeness{}, error(nil)
	c.Manifest, c.Summary, err = b.read(ctx, "checking", backup.Sink{
		File: func(f backup.File) error {
			if !belongs(f.Name) {
				return fault.New("the backup holds %s, which is no file of a cluster", f.Name).Fix("take a backup that you know; nothing was changed")
			}
			seen.file(f)
			c.Files = append(c.Files, f)
			return nil
		},
		Record: func(rec engine.Record) error {
			seen.record(rec)
			return nil
		},
	})
	if err == nil {
		err = seen.restorable()
	}
	if err == nil {
		_, err = c.common()
	}
	if err == nil {
		_, err = fingerprint(c.file(serverRoot + "/tls/" + authorityName))
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// file gives what is in a file, nil where there is none.
func (c *Checked) file(name string) []byte {
	for _, f := range c.Files {
		if f.Name == name {
			return f.Data
		}
	}
	return nil
}

// read reads the backup once.
func (b Backup) read(ctx context.Context, what string, to backup.Sink) (m backup.Manifest, s backup.Summary, err error) {
	from, size, err := b.Open(ctx)
	if err != nil {
		return m, s, err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	return backup.Read(&metered{Reader: from, ctx: ctx, told: func(done int64) {
		if b.Progress != nil {
			b.Progress(what, done, size)
		}
	}}, b.Key, to)
}

// metered tells how much was read, and ends with its context.
type metered struct {
	io.Reader
	ctx  context.Context //nolint:containedctx // a Reader has no other way to be told
	told func(done int64)
	done int64
}

// Read is io.Reader's.
func (m *metered) Read(p []byte) (int, error) {
	if err := m.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := m.Reader.Read(p)
	m.done += int64(n)
	m.told(m.done)
	return n, err
}
