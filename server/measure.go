package server

import (
	"context"
	"errors"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/skerry-io/skerry/datastore"
	"github.com/skerry-io/skerry/datastore/engines"
	"github.com/skerry-io/skerry/datastore/vault"
	"github.com/skerry-io/skerry/internal/status"
)

// measuring is how long the datastore may take to say how it is.
const measuring = 2 * time.Second

// measure has a store asked for what it knows of itself, until the function that it gives is called.
func (s *Server) measure(store datastore.Store) (stop func()) {
	measured, can := store.(datastore.Measured)
	if can {
		s.measured.Store(&measured)
	}
	return func() { s.measured.Store(nil) }
}

// Datastore is what the datastore says of itself now.
func (s *Server) Datastore() *status.Datastore {
	ctx, stop := context.WithTimeout(context.Background(), measuring)
	defer stop()
	used := engines.Present(s.paths, s.config.Endpoint())
	d := &status.Datastore{Engine: used.Brand(), Place: used.Dir}
	if s.inEtcd {
		d.Engine, d.Place = engines.Etcd, s.paths.EtcdDir()
	}
	if used.External() {
		d.Place = used.Endpoint.Place
	}
	s.tellBackup(d)
	if err := s.ask(ctx, d); err != nil {
		d.Error = err.Error()
	}
	return d
}

// ask fills in what the datastore knows.
func (s *Server) ask(ctx context.Context, d *status.Datastore) error {
	if d.Engine == engines.Etcd {
		return s.askEtcd(ctx, d)
	}
	store := s.measured.Load()
	if store == nil {
		return errors.New("the datastore does not answer yet")
	}
	found, err := (*store).Stats(ctx)
	if err != nil {
		return err
	}
	d.Size, d.Revision, d.Compacted, d.Keys, d.Snapshot = found.Size, found.Revision, found.Compacted, found.Keys, found.Snapshot
	if found.Written != nil {
		d.Written = &status.Written{Today: found.Written.Today, PerDay: found.Written.PerDay, Days: found.Written.Days}
	}
	return nil
}

// askEtcd asks the members, and counts the keys.
func (s *Server) askEtcd(ctx context.Context, d *status.Datastore) error {
	client, err := s.endpoint().Client()
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	counted, err := client.Get(ctx, "\x00", clientv3.WithFromKey(), clientv3.WithCountOnly(), clientv3.WithSerializable())
	if err != nil {
		return err
	}
	d.Revision, d.Keys = counted.Header.Revision, counted.Count
	answers, err := client.Status(ctx, client.Endpoints()[0])
	if err != nil {
		return err
	}
	d.Size = answers.DbSize
	members, err := client.MemberList(ctx)
	if err != nil {
		return err
	}
	for _, m := range members.Members {
		one := status.Member{Name: m.Name, Leads: m.ID == answers.Leader, Learner: m.IsLearner}
		if len(m.ClientURLs) > 0 {
			one.URL = m.ClientURLs[0]
		}
		d.Members = append(d.Members, one)
	}
	if own := s.running.Load(); own != nil {
		d.Snapshot, err = own.Snapshot()
	}
	return err
}

// tellBackup tells of the last backup that this server made by itself.
func (s *Server) tellBackup(d *status.Datastore) {
	history, err := vault.ReadHistory(s.paths.BackupsFile())
	if err != nil {
		d.Backup = &status.Backup{Failure: err.Error()}
		return
	}
	if history.Success == nil && history.Failure == nil {
		return
	}
	d.Backup = &status.Backup{}
	if last := history.Success; last != nil {
		d.Backup.At, d.Backup.Place, d.Backup.Size = last.At, last.Place+"/"+last.Name, last.Size
	}
	if history.Failing() {
		d.Backup.Failure = history.Failure.Why
	}
}
