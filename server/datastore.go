package server

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/skerry-io/skerry/datastore"
	"github.com/skerry-io/skerry/datastore/local"
	"github.com/skerry-io/skerry/internal/run"
)

// alarming is how long a loss makes the status bad; after that it is told and no more.
const alarming = 24 * time.Hour

// socket is where the datastore serves the etcd API.
func (s *Server) socket() string { return filepath.Join(s.paths.ServerDir(), "datastore.sock") }

// datastore serves what the cluster knows.
func (s *Server) datastore(ctx context.Context, ready func()) error {
	store, wait, err := local.Open(ctx, local.Config{
		Dir:              s.paths.DBDir(),
		CommitInterval:   s.config.DatastoreCommitInterval,
		SnapshotInterval: s.config.DatastoreSnapshotInterval,
		SnapshotCount:    s.config.DatastoreSnapshotRetention,
		Lost:             s.lost,
		Log:              s.log,
	})
	if err != nil {
		return err
	}
	defer wait()
	return datastore.Serve(ctx, store, s.socket(), ready)
}

// lost tells the status what damage has cost.
func (s *Server) lost(l local.Loss) {
	s.told.datastore.Set(run.Detail{Name: "damage of " + l.When.UTC().Format(time.RFC3339), State: "healed", Since: l.When,
		Bad: time.Since(l.When) < alarming, Err: errors.New(l.String())})
}
