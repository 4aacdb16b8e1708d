package server

import (
	"context"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/skerry-io/skerry/datastore"
	"github.com/skerry-io/skerry/datastore/kinesql"
	"github.com/skerry-io/skerry/datastore/reach"
	"github.com/skerry-io/skerry/internal/config"
	"github.com/skerry-io/skerry/internal/run"
	"github.com/skerry-io/skerry/internal/wire"
	"github.com/skerry-io/skerry/server/shared"
)

// elsewhere says that others run the datastore.
func (s *Server) elsewhere() bool { return s.config.DatastoreEndpoint != "" }

// external serves what the cluster knows from a datastore that others run.
func (s *Server) external(ctx context.Context, ready func()) error {
	if s.config.Endpoint().Kind == config.KindEtcd {
		return s.followEtcd(ctx, ready)
	}
	store, done, err := kinesql.Connect(ctx, s.database())
	if err != nil {
		return unlessEnding(ctx, err)
	}
	defer done()
	defer s.measure(store)()
	return datastore.Serve(ctx, store, s.socket(), ready)
}

// unlessEnding is no error when there is none but the end.
func unlessEnding(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// database says how the database of others is reached.
func (s *Server) database() kinesql.Config {
	c := s.config
	return kinesql.Config{Endpoint: c.Endpoint(), CAFile: c.DatastoreCAFile, CertFile: c.DatastoreCertFile, KeyFile: c.DatastoreKeyFile,
		Waiting: s.waitsForDatastore, Log: s.log}
}

// waitsForDatastore tells log and status why the datastore of others cannot be used yet; nil says that it can.
func (s *Server) waitsForDatastore(err error) {
	row := run.Detail{Name: s.config.Endpoint().Place, State: "reached"}
	if err != nil {
		row.State, row.Bad, row.Err = "waited for", true, err
	}
	s.told.datastore.Set(row)
	switch {
	case err != nil && !s.told.waits:
		s.log.Warn("the datastore does not answer yet, and is waited for", "datastore", row.Name, "err", err)
	case err == nil && s.told.waits:
		s.log.Info("the datastore answers", "datastore", row.Name)
	}
	s.told.waits = err != nil
}

// followEtcd is ready when the etcd of others answers; the API server speaks with it by itself.
func (s *Server) followEtcd(ctx context.Context, ready func()) error {
	if err := reach.Etcd(ctx, s.endpoint(), s.config.Endpoint().Place, s.waitsForDatastore); err != nil {
		return unlessEnding(ctx, err)
	}
	ready()
	<-ctx.Done()
	return nil
}

// reachExternal gives a client of the datastore of others before anything of this server runs.
func (s *Server) reachExternal(ctx context.Context) (client *clientv3.Client, done func(), err error) {
	if s.config.Endpoint().Kind == config.KindEtcd {
		if err = reach.Etcd(ctx, s.endpoint(), s.config.Endpoint().Place, s.waitsForDatastore); err != nil {
			return nil, nil, err
		}
		if client, err = s.endpoint().Client(); err != nil {
			return nil, nil, err
		}
		return client, func() { _ = client.Close() }, nil
	}
	store, letGo, err := kinesql.Connect(ctx, s.database())
	if err != nil {
		return nil, nil, err
	}
	serving, stop := context.WithCancel(ctx)
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- datastore.Serve(serving, store, s.socket(), func() { close(ready) }) }()
	end := func() {
		stop()
		<-ended
		letGo()
	}
	select {
	case <-ready:
	case err := <-ended:
		ended <- err
		end()
		return nil, nil, err
	}
	if client, err = s.endpoint().Client(); err != nil {
		end()
		return nil, nil, err
	}
	return client, func() {
		_ = client.Close()
		end()
	}, nil
}

// meet gets what the servers share from a datastore of others, or puts there what open makes. A server that has it already need not
// ask: what others change it hears of while it runs.
func (s *Server) meet(ctx context.Context, open func() error) error {
	if !s.elsewhere() {
		return nil
	}
	if known, err := s.place().Known(); err != nil || known {
		return err
	}
	secret := ""
	if s.config.Token != "" {
		chosen, err := wire.ParseToken(s.config.Token.Reveal())
		if err != nil {
			return err
		}
		secret = chosen.Secret
	}
	client, done, err := s.reachExternal(ctx)
	if err != nil {
		return err
	}
	defer done()
	return shared.Settle(ctx, client, s.place(), secret, func() (string, error) {
		if err := open(); err != nil {
			return "", err
		}
		return s.tokens.Server().Secret, nil
	})
}
