package kinesql

import (
	"context"

	"github.com/skerry-io/skerry/datastore"
)

// afterAll is behind every key that Kubernetes makes.
const afterAll = "~"

// Stats is what the database says of the table.
func (s *shared) Stats(ctx context.Context) (found datastore.Stats, err error) {
	if found.Size, err = s.rows.GetSize(ctx); err != nil {
		return found, err
	}
	if found.Revision, found.Keys, err = s.rows.CountCurrent(ctx, "", afterAll); err != nil {
		return found, err
	}
	found.Compacted, err = s.rows.GetCompactRevision(ctx)
	return found, err
}
