package etcd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/version"
	"go.etcd.io/etcd/etcdutl/v3/snapshot"
	"go.etcd.io/etcd/server/v3/lease/leasepb"
	"go.etcd.io/etcd/server/v3/storage/backend"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
	"go.etcd.io/etcd/server/v3/storage/schema"
	"go.uber.org/zap"

	"github.com/skerry-io/skerry/datastore/engine"
	"github.com/skerry-io/skerry/internal/durable"
	"github.com/skerry-io/skerry/internal/fault"
)

// kinesKey is where kine keeps how far the API server has compacted; etcd has no use for it.
const kinesKey = "compact_rev_key_apiserver"

// Seed makes a member of a new cluster of one in an empty directory, with what all hands over, in any order: keys, values, and the revisions
// at which they were created and changed. What is shorter lived than now is left out; leases last for what is left of them, to the minute.
// The first change of the member gets a revision above state.Revision, and nobody can ask for the past up to it: clients that watch list
// again. It refuses a directory that has a member, and leaves nothing behind when it fails.
func Seed(ctx context.Context, c Config, state engine.State, all func(each func(engine.Record) error) error) error {
	c = c.tuned()
	unlock, err := lock(c.Dir)
	if err != nil {
		return err
	}
	defer unlock()
	if Exists(c.Dir) || holds(c.database()) {
		return fault.New("fill %s: there is an etcd member in it already", c.Dir).Fix("move %s away first, if what is in it is not wanted", filepath.Join(c.Dir, memberFolder))
	}
	if err := errors.Join(os.RemoveAll(filepath.Join(c.Dir, memberFolder)), c.acquit()); err != nil {
		return c.unusable(err)
	}
	return c.make(func(folder string) error { return c.grow(ctx, folder, state, all) })
}

// grow makes a member in a folder out of records.
func (c Config) grow(ctx context.Context, folder string, state engine.State, all func(each func(engine.Record) error) error) error {
	file := filepath.Join(folder, "seed")
	return c.guarded(func(log *zap.Logger) error {
		if err := fill(ctx, log, file, state, all); err != nil {
			return err
		}
		return c.restore(log, file, folder)
	})
}

// make has a member made in a folder that is gone afterwards, and takes it when it is whole.
func (c Config) make(do func(folder string) error) (err error) {
	folder := filepath.Join(c.Dir, makingFolder)
	if err := os.RemoveAll(folder); err != nil {
		return c.unusable(err)
	}
	if err := os.Mkdir(folder, 0o700); err != nil {
		return c.unusable(err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	if err := do(folder); err != nil {
		return err
	}
	return c.adopt(folder)
}

// guarded runs etcd's code, which may want to end the process, in a goroutine that it may end.
func (c Config) guarded(do func(*zap.Logger) error) (err error) {
	b := &broken{told: make(chan struct{})}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer caught(&err)
		err = do(logger(c.Log, b.tell))
	}()
	<-ended
	if why := b.why(); why != nil {
		return why
	}
	return err
}

// restore makes a member of a new cluster in a folder out of a database file.
func (c Config) restore(log *zap.Logger, file, folder string) error {
	gentle()
	made := filepath.Join(folder, "made")
	err := snapshot.NewV3(log).Restore(snapshot.RestoreConfig{
		SnapshotPath: file, SkipHashCheck: true, OutputDataDir: made, InitialMmapSize: uint64(c.Tuning.Quota),
		Name: c.Name, PeerURLs: []string{c.PeerURL()}, InitialCluster: c.Name + "=" + c.PeerURL(), InitialClusterToken: token(),
	})
	if err != nil {
		return fmt.Errorf("make the member: %w", err)
	}
	for _, where := range []string{"snap", "wal", ""} { // what etcd does not do for all of them
		if err := durable.SyncDir(filepath.Join(made, memberFolder, where)); err != nil {
			return err
		}
	}
	return os.Rename(filepath.Join(made, memberFolder), filepath.Join(folder, memberFolder))
}

// openBackend opens a database as etcd does.
func openBackend(log *zap.Logger, file string) backend.Backend {
	return backend.New(backend.BackendConfig{Path: file, BatchInterval: batchInterval, BatchLimit: 40 * batchLimit, Logger: log})
}

// fill writes records into a new database as etcd lays them out.
func fill(ctx context.Context, log *zap.Logger, file string, state engine.State, all func(each func(engine.Record) error) error) error {
	db := openBackend(log, file)
	defer func() { _ = db.Close() }() // restore reads it whole
	s := &seeding{tx: db.BatchTx(), head: max(state.Revision, 1), now: time.Now(), subs: map[int64]int64{}, leases: map[int64]bool{}}
	s.tx.LockOutsideApply()
	for _, b := range schema.AllBuckets {
		s.tx.UnsafeCreateBucket(b)
	}
	schema.UnsafeSetStorageVersion(s.tx, &version.V3_6)
	s.tx.Unlock()
	err := all(func(r engine.Record) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return s.add(r)
	})
	if err != nil {
		return err
	}
	s.tx.LockOutsideApply()
	defer s.tx.Unlock()
	forget(s.tx, s.head)
	return nil
}

// forget notes that nobody can ask for what was before a revision, and that no change gets it or a lower one.
func forget(tx backend.UnsafeWriter, revision int64) {
	mvcc.UnsafeSetScheduledCompact(tx, revision)
	mvcc.UnsafeSetFinishedCompact(tx, revision)
}

type seeding struct {
	tx     backend.BatchTx
	head   int64 // the highest revision
	now    time.Time
	subs   map[int64]int64 // how many keys one revision has changed
	leases map[int64]bool
}

func (s *seeding) add(r engine.Record) error {
	if r.Key == kinesKey || !r.Deleted && r.Expires > 0 && r.Expires <= s.now.UnixMilli() {
		return nil
	}
	if r.Revision < 1 || r.Created > r.Revision || !r.Deleted && r.Created < 1 {
		return fmt.Errorf("the record of %s at revision %d, created at %d, makes no sense", r.Key, r.Revision, r.Created)
	}
	kv := mvccpb.KeyValue{Key: []byte(r.Key)}
	if !r.Deleted {
		kv = mvccpb.KeyValue{Key: []byte(r.Key), Value: r.Value, CreateRevision: r.Created, ModRevision: r.Revision,
			Version: max(r.Version, 1), Lease: s.lease(r)}
	}
	value, err := kv.Marshal()
	if err != nil {
		return err
	}
	key := mvcc.BucketKey{Revision: mvcc.Revision{Main: r.Revision, Sub: s.subs[r.Revision]}}
	name := mvcc.BucketKeyToBytes(key, mvcc.NewRevBytes())
	if r.Deleted {
		name = append(name, 't')
	}
	s.subs[r.Revision]++
	s.head = max(s.head, r.Revision)
	s.tx.LockOutsideApply()
	s.tx.UnsafePut(schema.Key, name, value)
	s.tx.Unlock()
	return nil
}

// lease makes one for all keys that end in the same minute. Where nothing says when, a key has all of its time again.
func (s *seeding) lease(r engine.Record) int64 {
	if r.Lease <= 0 {
		return 0
	}
	left := r.Lease
	if r.Expires > 0 {
		left = (r.Expires - s.now.UnixMilli() + 999) / 1000
	}
	left = (left + 59) / 60 * 60
	if !s.leases[left] {
		s.leases[left] = true
		s.tx.LockOutsideApply()
		schema.MustUnsafePutLease(s.tx, &leasepb.Lease{ID: left, TTL: left})
		s.tx.Unlock()
	}
	return left
}
