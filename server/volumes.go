package server

import (
	"context"
	"slices"

	"github.com/skerry-io/skerry/internal/wire"
	"github.com/skerry-io/skerry/server/storage"
)

// volumes is the provisioner of local volumes, nil when it is switched off.
func (s *Server) volumes() *storage.Storage {
	if slices.Contains(s.config.Disable, wire.ComponentStorage) {
		return nil
	}
	return storage.New(&s.told.storage, s.onlyLeading, s.log)
}

// storage provisions volumes, or takes back what an earlier start has left that did.
func (s *Server) storage(ctx context.Context, volumes *storage.Storage, ready func()) error {
	client, err := s.admin()
	if err != nil {
		return err
	}
	if volumes != nil {
		return volumes.Run(ctx, client, s.nodes, ready)
	}
	if err := storage.Leave(ctx, client); err != nil && ctx.Err() == nil {
		return err
	}
	ready()
	<-ctx.Done()
	return nil
}
