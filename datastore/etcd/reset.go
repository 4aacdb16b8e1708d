package etcd

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	"go.etcd.io/etcd/server/v3/storage/backend"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
	"go.etcd.io/etcd/server/v3/storage/schema"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/raft/v3"
	"go.uber.org/zap"

	"github.com/skerry-io/skerry/internal/durable"
	"github.com/skerry-io/skerry/internal/fault"
)

const (
	// formerSuffix is added, with the time, to the name of what a Reset replaces.
	formerSuffix = ".former-"
	// lastFolder is where a Reset has a copy of that, in the folder of the new member. Who makes a member of something else makes none.
	lastFolder = "last"
)

// leap is how many revisions a reset skips: the others may have given out some that this member never saw.
const leap = 1_000_000_000

// Reset makes a cluster of this member alone out of what it knows, for when the majority is lost. Everything that this member was sent is
// kept. The cluster is a new one: the former members can neither disturb it nor come back into it, but as new ones. What the directory
// held before is kept beside it, in the folder that is given back. It refuses a directory that is in use, and changes nothing when
// it fails.
func Reset(ctx context.Context, c Config) (former string, err error) {
	c = c.tuned()
	unlock, err := lock(c.Dir)
	if err != nil {
		return "", err
	}
	defer unlock()
	if err := c.undo(); err != nil {
		return "", err
	}
	if !Exists(c.Dir) {
		return "", fault.New("make a cluster of one out of %s: there is no etcd member in it", c.Dir).
			Fix("run it on a server that was part of the cluster, or restore a backup")
	}
	if err := check(ctx, c.database()); err != nil {
		return "", c.unusable(err)
	}
	was, err := c.sentence()
	if err != nil {
		return "", err
	}
	now := filepath.Join(c.Dir, memberFolder)
	former = now + formerSuffix + time.Now().UTC().Format("20060102T150405Z")
	moved := false
	err = c.make(func(folder string) error {
		if err := c.alone(ctx, folder); err != nil {
			return c.unusable(err)
		}
		moved = true
		if err := durable.Rename(now, former); err != nil {
			return err
		}
		return c.acquit()
	})
	if err != nil && moved {
		err = errors.Join(err, c.putBack(former, was))
	}
	if err != nil {
		return "", err
	}
	return former, nil
}

// CutOff gives the folder in which a Reset left what the directory held when it was cut off between moving it there and taking the new
// member, which is still in the making; "" when none was.
func CutOff(dir string) string {
	if is(filepath.Join(dir, memberFolder)) || !is(filepath.Join(dir, makingFolder, lastFolder)) {
		return ""
	}
	found, err := filepath.Glob(filepath.Join(dir, memberFolder+formerSuffix+"*"))
	if err != nil || len(found) == 0 {
		return ""
	}
	return slices.Max(found)
}

// undo makes the directory what it was before a Reset that was cut off.
func (c Config) undo() error {
	former := CutOff(c.Dir)
	if former == "" {
		return nil
	}
	if err := durable.Rename(former, filepath.Join(c.Dir, memberFolder)); err != nil {
		return c.unusable(err)
	}
	c.Log.Info("a reset of the cluster was cut off; it begins again", "from", former)
	return nil
}

// putBack makes the directory what it was before a Reset that failed.
func (c Config) putBack(former string, was sentence) (err error) {
	if now := filepath.Join(c.Dir, memberFolder); !is(now) {
		err = durable.Rename(former, now)
	}
	if was.Why != "" {
		err = errors.Join(err, c.pass(was))
	}
	return err
}

// alone makes the new member in a folder, from a copy: first as the last of its cluster, so that it takes over all that is in its log, and
// then as the first of another.
func (c Config) alone(ctx context.Context, folder string) error {
	last := filepath.Join(folder, lastFolder)
	if err := os.CopyFS(filepath.Join(last, memberFolder), os.DirFS(filepath.Join(c.Dir, memberFolder))); err != nil {
		return fmt.Errorf("copy the member: %w", err)
	}
	copied := c
	copied.Dir = last
	if err := c.guarded(copied.commitAll); err != nil {
		return fmt.Errorf("read its log: %w", err)
	}
	if err := c.takeOver(ctx, last); err != nil {
		return err
	}
	file := filepath.Join(last, memberFolder, "snap", "db")
	return c.guarded(func(log *zap.Logger) error {
		db := openBackend(log, file)
		renew(db)
		if err := db.Close(); err != nil {
			return err
		}
		return c.restore(log, file, folder)
	})
}

// commitAll counts everything in the log as agreed on. A member learns only with the next message that the last one was, so that what
// lies behind may have been answered.
func (c Config) commitAll(log *zap.Logger) (err error) {
	from, err := c.newest(log)
	if err != nil {
		return err
	}
	w, err := wal.Open(log, filepath.Join(c.Dir, memberFolder, "wal"), from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	_, state, entries, err := w.ReadAll()
	if err != nil || len(entries) == 0 || raft.IsEmptyHardState(state) {
		return err
	}
	state.Commit = max(state.Commit, entries[len(entries)-1].Index)
	return w.Save(state, nil)
}

// takeOver lets etcd bring everything from the log into the database, as the only member that is left.
func (c Config) takeOver(ctx context.Context, dir string) error {
	alone := c
	alone.Dir = dir
	settings := alone.quiet()
	settings.ForceNewCluster = true
	settings.InitialCluster = c.Name + "=" + c.PeerURL()
	settings.AdvertisePeerUrls = []url.URL{parsed(c.PeerURL())}
	settings.ListenPeerUrls = []url.URL{parsed("https://127.0.0.1:0")} // there is nobody to hear
	settings.PeerTLSInfo = c.Peer.info()
	settings.AdvertiseClientUrls = []url.URL{parsed(c.ClientURL())}
	alone.Socket = filepath.Join(dir, "s")
	settings.ListenClientUrls = []url.URL{{Scheme: "unix", Path: alone.Socket}}
	e, b, err := launch(alone, settings)
	if err != nil {
		return err
	}
	m := &Member{config: alone, etcd: e, broken: b, done: func() {}}
	if m.client, err = alone.local().Client(); err != nil {
		return errors.Join(err, m.end())
	}
	for !m.answers(ctx) {
		if b.why() != nil || !wait(ctx, again) {
			return errors.Join(b.why(), ctx.Err(), m.end())
		}
	}
	return m.end()
}

// renew makes a database that of another cluster, whose revisions are above all that were given out.
func renew(db backend.Backend) {
	tx := db.BatchTx()
	tx.LockOutsideApply()
	defer tx.Unlock()
	var last int64
	_ = tx.UnsafeForEach(schema.Key, func(key, _ []byte) error {
		last = max(last, mvcc.BytesToRev(key).Main)
		return nil
	})
	compacted, _ := mvcc.UnsafeReadFinishedCompact(tx)
	forget(tx, max(last, compacted)+leap)
	tx.UnsafeDeleteBucket(schema.Alarm) // they are of members that are none any more
	tx.UnsafeCreateBucket(schema.Alarm)
}
