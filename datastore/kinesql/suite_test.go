package kinesql

import (
	"context"
	"testing"

	"github.com/skerry-io/skerry/datastore"
	"github.com/skerry-io/skerry/datastore/storetest"
)

// TestSuite knows where kine's engine differs from etcd, so that it is seen when that changes.
func TestSuite(t *testing.T) {
	storetest.Run(t, storetest.Engine{
		Open: func(t testing.TB, dir string) (datastore.Store, func()) {
			ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
			store, wait, err := Open(ctx, dir)
			if err != nil {
				t.Fatal(err)
			}
			return store, func() {
				stop()
				wait()
			}
		},
		Lacks: map[string]string{
			"compaction": "it compacts every five minutes by itself, keeps a thousand revisions, and does nothing when it is asked",
			"closing":    "a request that is under way when it closes may wait for ever",
		},
	})
}
