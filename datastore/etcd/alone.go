package etcd

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
	"go.etcd.io/etcd/server/v3/storage/schema"
	"go.uber.org/zap"

	"github.com/skerry-io/skerry/datastore/engine"
	"github.com/skerry-io/skerry/datastore/export"
	"github.com/skerry-io/skerry/datastore/snapshots"
)

const (
	// snapshotFolder is in the member's directory, beside what is etcd's.
	snapshotFolder = "snapshots"
	// soonest is how long a start is left alone before a snapshot, and how long after one that could not be made it is tried again.
	soonest = time.Minute
)

func (c Config) ring() snapshots.Ring {
	return snapshots.Ring{Dir: filepath.Join(c.Dir, snapshotFolder), Count: c.SnapshotCount, Log: c.Log}
}

// snapshots makes one each interval while this member is alone, until ctx ends. A member with others is made anew out of what they have.
func (m *Member) snapshots(ctx context.Context) {
	interval := m.config.SnapshotInterval
	if interval <= 0 {
		return
	}
	pause := min(soonest, interval)
	if all, err := m.config.ring().List(); err == nil && len(all) > 0 {
		pause = max(pause, min(interval-time.Since(all[0].Time), interval))
	}
	for wait(ctx, pause) {
		pause = interval
		if err := m.snapshot(ctx); err != nil && ctx.Err() == nil {
			m.config.Log.Error("a snapshot of the datastore could not be made; it is tried again", "err", err)
			pause = min(soonest, interval)
		}
	}
}

// snapshot makes one, or removes those of before when there are others.
func (m *Member) snapshot(ctx context.Context) error {
	m.copying.Lock()
	defer m.copying.Unlock()
	ring := m.config.ring()
	if len(m.etcd.Server.Cluster().Members()) > 1 {
		return os.RemoveAll(ring.Dir)
	}
	view, err := export.Open(ctx, m.client)
	if err != nil {
		return err
	}
	_, err = ring.Write(time.Now(), engine.State{Revision: view.Revision}, func(each func(engine.Record) error) error {
		return view.Records(ctx, each)
	})
	return err
}

// Snapshot is when the newest snapshot was made; zero while there is none.
func (m *Member) Snapshot() (at time.Time, err error) {
	all, err := m.config.ring().List()
	if len(all) > 0 {
		at = all[0].Time
	}
	return at, err
}

// Renew makes a snapshot of now and removes all others, where there are any: what they hold shall not come back.
func (m *Member) Renew(ctx context.Context) error {
	all, err := m.config.ring().List()
	if err != nil || len(all) == 0 {
		return err
	}
	if err := m.snapshot(ctx); err != nil {
		return err
	}
	m.copying.Lock()
	defer m.copying.Unlock()
	return m.config.ring().Keep(1)
}

// fallBack puts into the place of a damaged member that has no others what is left: its database, if only the log is damaged, otherwise the
// newest snapshot. Revisions go on far above all that may have been given out.
func (m *Member) fallBack(ctx context.Context, why damaged) (h Healed, err error) {
	c := m.config
	s, err := c.sentence()
	if err != nil {
		return h, err
	}
	if c.replaced(s) { // the start that did it did not come further
		if err := c.whole(ctx); err == nil {
			return Healed{From: s.From, To: s.To, Used: s.Used}, m.begin()
		} else if err = c.broken(err); ctx.Err() != nil || !errors.As(err, &damaged{}) {
			return h, errors.Join(ctx.Err(), err)
		}
		if err := os.RemoveAll(filepath.Join(c.Dir, memberFolder)); err != nil { // it has served nobody
			return h, c.unusable(err)
		}
	}
	if err := c.setBack(s); err != nil {
		return h, c.unusable(err)
	}
	if c.company() {
		return h, c.unusable(why)
	}
	h, grow, err := c.remains(ctx)
	if err != nil {
		return h, c.unusable(errors.Join(why, err))
	}
	if !Condemned(c.Dir) {
		if err := c.condemn(why); err != nil {
			return h, err
		}
	}
	c.Log.Error("the member of the datastore is damaged, has no others, and is made of what is left", "name", c.Name, "err", why.error)
	err = c.make(func(folder string) error {
		if err := grow(folder); err != nil {
			return err
		}
		return c.setAside(h)
	})
	if err != nil {
		return h, c.unusable(errors.Join(why, err))
	}
	return h, m.begin()
}

// remains is what a member can be made of, and what is lost by that.
func (c Config) remains(ctx context.Context) (h Healed, grow func(folder string) error, err error) {
	last := c.last()
	h = Healed{From: last + 1, To: last}
	if last > 0 && check(ctx, c.database()) == nil {
		return h, c.regrow, nil
	}
	snapshot, err := c.ring().Newest()
	if err != nil || snapshot == nil {
		return h, nil, errors.Join(errNothing, err)
	}
	h.Used, h.From = snapshot.Path, snapshot.Revision+1
	return h, func(folder string) error {
		return c.grow(ctx, folder, engine.State{Revision: max(last, snapshot.Revision) + leap}, func(each func(engine.Record) error) error {
			_, err := snapshots.Read(snapshot.Path, each)
			return err
		})
	}, nil
}

// errNothing says that neither the database nor a snapshot is whole.
var errNothing = errors.New("no snapshot is whole")

// company says that the database, as far as it can be read, knows other members.
func (c Config) company() bool {
	known := 0
	_ = within(c.database(), schema.Members, func(b *bolt.Bucket) {
		_ = b.ForEach(func(_, _ []byte) error { // one by one: what is read before the damage counts
			known++
			return nil
		})
	})
	return known > 1
}

// regrow makes a member in a folder out of the database alone.
func (c Config) regrow(folder string) error {
	file := filepath.Join(folder, "seed")
	if err := copyFile(c.database(), file); err != nil {
		return err
	}
	return c.guarded(func(log *zap.Logger) error {
		db := openBackend(log, file)
		renew(db)
		if err := db.Close(); err != nil {
			return err
		}
		return c.restore(log, file, folder)
	})
}

func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// last is the highest revision in the database, 0 when that cannot be said.
func (c Config) last() (revision int64) {
	_ = within(c.database(), schema.Key, func(b *bolt.Bucket) {
		if key, _ := b.Cursor().Last(); len(key) > 0 {
			revision = mvcc.BytesToRev(key).Main
		}
	})
	return revision
}
