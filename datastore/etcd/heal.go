package etcd

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
	"go.etcd.io/etcd/server/v3/etcdserver/api/snap"
	"go.etcd.io/etcd/server/v3/storage/schema"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/etcd/server/v3/storage/wal/walpb"
	"go.uber.org/zap"
)

// Healed says what became of a member that was damaged.
type Healed struct {
	When     time.Time
	Why      string
	Kept     string // where its data lies
	From, To int64  // revisions that may be lost; From is 0 when nothing is, To is below it when nobody knows
	Used     string // the snapshot that took its place; empty when others or its own database did
}

// String is a sentence for the log and the status.
func (h Healed) String() string {
	lost := "made anew out of what the others have: nothing is lost"
	if h.From > 0 {
		to := "on"
		if h.To >= h.From {
			to = fmt.Sprintf("to %d", h.To)
		}
		lost = fmt.Sprintf("made anew out of %s: changes from revision %d %s are lost", cmp.Or(h.Used, "its database"), h.From, to)
	}
	return fmt.Sprintf("this server's member of the datastore was damaged (%s), and was %s; the damaged data is kept in %s", h.Why, lost, h.Kept)
}

// damaged is an error of the member's own files.
type damaged struct{ error }

func (d damaged) Unwrap() error { return d.error }

// broken tells damage from a database that is in use, and a disk that is full, read-only or not there.
func (c Config) broken(err error) error {
	if errors.Is(err, berrors.ErrTimeout) { // somebody else has locked it
		return c.unusable(err)
	}
	if no := syscall.Errno(0); errors.As(err, &no) && !slices.Contains([]syscall.Errno{syscall.EIO, syscall.EISDIR, syscall.ENOENT}, no) {
		return c.unusable(err)
	}
	return damaged{err}
}

// heal makes a damaged member anew.
func (m *Member) heal(ctx context.Context, why damaged) (err error) {
	c, h := m.config, Healed{}
	id, others := c.marked()
	known := slices.DeleteFunc(slices.Clone(others), func(one string) bool { return one == somebody })
	switch {
	case len(known) > 0:
		err = m.rejoin(ctx, known, why)
	case id != "" && len(others) == 0:
		h, err = m.fallBack(ctx, why)
	default: // there are others, or may be
		err = c.unusable(why)
	}
	if err != nil {
		return err
	}
	h.When, h.Why, h.Kept = time.Now(), why.Error(), c.keptIn()
	c.Log.Warn(h.String())
	if c.Healed != nil {
		c.Healed(h)
	}
	if err := c.acquit(); err != nil { // the next start would make it anew once more
		return errors.Join(c.unusable(err), m.end())
	}
	return nil
}

// rejoin makes it anew out of what the others have: they give up the one that it was, and it joins.
func (m *Member) rejoin(ctx context.Context, others []string, why damaged) (err error) {
	c := m.config
	c.Members = others
	if !Condemned(c.Dir) {
		if err := c.condemn(why); err != nil {
			return err
		}
	}
	c.Log.Error("the member of the datastore is damaged, and is made anew out of what the others have", "name", c.Name, "err", why.error)
	m.etcd, m.broken, err = c.join(ctx)
	return err
}

// stumbled is the end of a member over which etcd gave up: because of the disk, or because its files make no sense. In the latter case, and where
// others are known, the next start makes it anew: what etcd has opened is open until then.
func (m *Member) stumbled(err error) error {
	var harm damaged
	var no syscall.Errno
	if _, others := m.config.marked(); len(others) > 0 && !m.config.AsItIs && errors.As(err, &harm) && !errors.As(err, &no) {
		if anew := m.giveUp(harm.error); anew != nil {
			return anew
		}
	}
	return m.config.refused(err)
}

// clear makes room for the new member.
func (j *joining) clear() error {
	if Condemned(j.Dir) {
		return j.setAside(Healed{})
	}
	return os.RemoveAll(filepath.Join(j.Dir, memberFolder))
}

// checkLog reads the log from where the database is sure to have everything before. What a power cut has torn off at its end is no damage; what
// the database has seen already is not at the end.
func (c Config) checkLog() error {
	logs := filepath.Join(c.Dir, memberFolder, "wal")
	return c.guarded(func(log *zap.Logger) error {
		from, err := c.newest(log)
		if err != nil {
			return fmt.Errorf("the log is damaged: %w", err)
		}
		if _, err := os.Stat(c.database()); err != nil && from.Index > 0 {
			return fmt.Errorf("the database is gone: %w", err)
		}
		w, err := wal.OpenForRead(log, logs, from)
		if err != nil {
			return fmt.Errorf("the log is damaged: %w", err)
		}
		_, state, entries, err := w.ReadAll() // which closes it
		if err != nil {
			return fmt.Errorf("the log is damaged: %w", err)
		}
		last := from.Index
		if len(entries) > 0 {
			last = entries[len(entries)-1].Index
		}
		if has := max(state.Commit, c.applied()); has > last {
			return fmt.Errorf("the log is damaged: it ends with entry %d, and had %d", last, has)
		}
		return nil
	})
}

// newest is the newest point from which the log is needed.
func (c Config) newest(log *zap.Logger) (from walpb.Snapshot, err error) {
	folder := filepath.Join(c.Dir, memberFolder)
	marks, err := wal.ValidSnapshotEntries(log, filepath.Join(folder, "wal"))
	if err != nil {
		return from, err
	}
	newest, err := snap.New(log, filepath.Join(folder, "snap")).LoadNewestAvailable(marks)
	if errors.Is(err, snap.ErrNoSnapshot) {
		return from, nil
	}
	if err != nil {
		return from, err
	}
	return walpb.Snapshot{Index: newest.Metadata.Index, Term: newest.Metadata.Term}, nil
}

// applied is how far the database has come in the log.
func (c Config) applied() (index uint64) {
	_ = within(c.database(), schema.Meta, func(b *bolt.Bucket) {
		if text := b.Get(schema.MetaConsistentIndexKeyName); len(text) == 8 {
			index = binary.BigEndian.Uint64(text)
		}
	})
	return index
}
