package datastore

import (
	"context"
	"time"

	"github.com/skerry-io/skerry/datastore/wear"
)

// Stats is what a store knows of itself.
type Stats struct {
	Size      int64 // on its disk, in bytes
	Revision  int64 // of the last change
	Compacted int64 // the past before it is gone
	Keys      int64
	// Written is what was written to this machine's disk; nil where nobody counts.
	Written *wear.Count
	// Snapshot is when the last one was made; zero without one.
	Snapshot time.Time
}

// Measured is a Store that knows these things.
type Measured interface {
	Stats(ctx context.Context) (Stats, error)
}
