package engine

import (
	"context"

	"github.com/k3s-io/kine/pkg/server"
)

// Record is one change of one key.
type Record struct {
	Revision int64 // of this change
	Created  int64 // revision at which the key came to be
	Version  int64 // how often it was written since, 1 for the first
	Lease    int64 // seconds that it lives, 0 for ever
	Expires  int64 // when it ends, in Unix milliseconds; 0 with no lease
	Deleted  bool  // the key is gone from here on; there is no value
	Key      string
	Value    []byte
}

// Size is about what a record takes, in bytes.
func (r *Record) Size() int { return len(r.Key) + len(r.Value) + 64 }

func (r *Record) kv() *server.KeyValue {
	return &server.KeyValue{Key: r.Key, Value: r.Value, Version: r.Version, CreateRevision: r.Created, ModRevision: r.Revision, Lease: r.Lease}
}

// State is what a place remembers besides its records.
type State struct {
	Revision  int64 // no revision above it was given out by a run that ended here
	Compacted int64 // the past before it is not whole
	Limit     int64 // revisions up to it may have been given out, even if nothing here shows it
	Clean     bool  // the last run ended in order, and Revision is exact
}

// Batch is what one commit writes.
type Batch struct {
	Put       []Record
	Drop      []int64 // revisions that nobody can read any more
	Compacted int64   // with Drop: the past before it is not whole; 0 leaves it
	Limit     int64   // revisions up to it may be given out from now on; 0 leaves it
}

func (b *Batch) empty() bool {
	return len(b.Put) == 0 && len(b.Drop) == 0 && b.Limit == 0 && b.Compacted == 0
}

// Disk keeps records for good. One goroutine writes, any number read.
type Disk interface {
	// Load gives all records in the order of revisions; their values are lent.
	Load(ctx context.Context, each func(Record) error) (State, error)
	// Commit writes all of a batch or nothing. What it wrote survives a power cut once it has returned.
	Commit(ctx context.Context, batch Batch) error
	// Settle does what a commit left to do, once those who waited for it were answered.
	Settle(ctx context.Context) error
	// Values gives the values of the records of these revisions, at the same places.
	Values(ctx context.Context, revisions []int64) ([][]byte, error)
	// Size is how much is used, in bytes.
	Size(ctx context.Context) (int64, error)
	// Tidy does one small piece of upkeep, and says whether there is more to do.
	Tidy(ctx context.Context) (more bool, err error)
	// Close lets go of the files.
	Close() error
}

// Memory keeps the records of some keys until the process ends, and writes them down when it ends in order.
type Memory interface {
	// Keeps says that a key belongs here.
	Keeps(key string) bool
	// Load gives what was written down at the end of the last run, and takes it away from the disk.
	Load(each func(Record) error) (State, error)
	// Put keeps the value of a record; former is the revision that it follows, which can still be read, or 0.
	Put(record Record, former int64)
	// Value gives what Put kept.
	Value(revision int64) ([]byte, bool)
	// Drop forgets what nobody can read any more.
	Drop(revision int64)
	// Past is how many bytes are kept only because a past revision could be asked for.
	Past() int
	// Excess names a key, with its revision, that has to go because there is no room; false when there is.
	Excess() (key string, revision int64, over bool)
	// Room says whether that much may be put.
	Room(size int) bool
	// Save writes everything down, for the next Load.
	Save(state State, records []Record) error
}
