package server

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/skerry-io/skerry/datastore"
	"github.com/skerry-io/skerry/datastore/local"
	"github.com/skerry-io/skerry/internal/run"
)

const (
	// alarming is how long a loss makes the status bad; after that it is told and no more.
	alarming = 24 * time.Hour
	// longestMessage is what the API takes as the message of an Event, in bytes.
	longestMessage = 1024
)

// socket is where the datastore serves the etcd API.
func (s *Server) socket() string { return filepath.Join(s.paths.ServerDir(), "datastore.sock") }

// datastore serves what the cluster knows.
func (s *Server) datastore(ctx context.Context, ready func()) error {
	began := time.Now()
	store, wait, err := local.Open(ctx, local.Config{
		Dir:              s.paths.DBDir(),
		CommitInterval:   s.config.DatastoreCommitInterval,
		SnapshotInterval: s.config.DatastoreSnapshotInterval,
		SnapshotCount:    s.config.DatastoreSnapshotRetention,
		Lost:             func(l local.Loss) { s.lost(l, !l.When.Before(began)) },
		Log:              s.log,
	})
	if err != nil {
		return err
	}
	defer wait()
	return datastore.Serve(ctx, store, s.socket(), ready)
}

// lost tells the status what damage has cost, and keeps for the Events what was found just now.
func (s *Server) lost(l local.Loss, now bool) {
	s.told.datastore.Set(run.Detail{Name: "damage of " + l.When.UTC().Format(time.RFC3339), State: "healed", Since: l.When,
		Bad: time.Since(l.When) < alarming, Err: errors.New(l.String())})
	if now {
		s.told.losses = append(s.told.losses, l)
	}
}

// tellLosses leaves an Event for each loss that this start found, which `kubectl describe node` shows.
func (s *Server) tellLosses(ctx context.Context, ready func()) error {
	if len(s.told.losses) > 0 {
		client, err := s.admin()
		if err != nil {
			return err
		}
		for _, l := range s.told.losses {
			if _, err := client.CoreV1().Events(meta.NamespaceDefault).Create(ctx, lossEvent(s.config.NodeName, l), meta.CreateOptions{}); err != nil {
				return err
			}
		}
		s.told.losses = nil
	}
	ready()
	<-ctx.Done()
	return nil
}

func lossEvent(node string, l local.Loss) *core.Event {
	message, at := l.String(), meta.NewTime(l.When)
	return &core.Event{
		ObjectMeta:     meta.ObjectMeta{GenerateName: node + ".", Namespace: meta.NamespaceDefault},
		InvolvedObject: core.ObjectReference{Kind: "Node", Name: node, UID: types.UID(node)}, // as the kubelet refers to its Node
		Type:           core.EventTypeWarning,
		Reason:         "DatastoreHealed",
		Message:        message[:min(len(message), longestMessage)],
		Source:         core.EventSource{Component: "skerry", Host: node},
		FirstTimestamp: at,
		LastTimestamp:  at,
		Count:          1,
	}
}
