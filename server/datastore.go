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
	switch {
	case s.elsewhere():
		return s.external(ctx, ready)
	case s.inEtcd:
		return s.member(ctx, ready)
	}
	began := time.Now()
	store, wait, err := local.Open(ctx, local.Config{
		Dir:              s.paths.DBDir(),
		CommitInterval:   s.config.DatastoreCommitInterval,
		SnapshotInterval: s.config.DatastoreSnapshotInterval,
		SnapshotCount:    s.config.DatastoreSnapshotRetention,
		Lost:             func(l local.Loss) { s.lost(loss{l.When, l.String()}, !l.When.Before(began)) },
		Log:              s.log,
	})
	if err != nil {
		return err
	}
	defer wait()
	defer s.measure(store)()
	if renewing, ok := store.(interface{ Renew(context.Context) error }); ok {
		renew := renewing.Renew
		s.refresh.Store(&renew)
	}
	return datastore.Serve(ctx, store, s.socket(), ready)
}

// loss is what became of a damaged datastore, and what that has cost.
type loss struct {
	when time.Time
	text string
}

// lost tells the status what damage has cost, and keeps for the Events what was found just now.
func (s *Server) lost(l loss, now bool) {
	s.told.datastore.Set(run.Detail{Name: "damage of " + l.when.UTC().Format(time.RFC3339), State: "healed", Since: l.when,
		Bad: time.Since(l.when) < alarming, Err: errors.New(l.text)})
	if now {
		s.told.losses = append(s.told.losses, l)
	}
}

// tellLosses leaves an Event for each loss that this start found, which `kubectl describe node` shows.
func (s *Server) tellLosses(ctx context.Context, ready func()) error {
	if len(s.told.losses) > 0 {
		warn := s.warn("DatastoreHealed")
		for _, l := range s.told.losses {
			if err := warn(ctx, s.config.NodeName, errors.New(l.text)); err != nil {
				return err
			}
		}
		s.told.losses = nil
	}
	ready()
	<-ctx.Done()
	return nil
}
