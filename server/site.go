package server

import (
	"context"

	"github.com/skerry-io/skerry/server/apiserver"
	"github.com/skerry-io/skerry/server/autonomy"
	"github.com/skerry-io/skerry/server/hold"
)

// admission are our own plugins in the API server: what sites far away ask for.
func (s *Server) admission() []apiserver.Plugin {
	return []apiserver.Plugin{{Name: autonomy.Plugin, Interface: s.autonomy}, {Name: hold.Plugin, Interface: s.hold}}
}

// autonomous looks after the pods of nodes that are away.
func (s *Server) autonomous(ctx context.Context, ready func()) error {
	client, err := s.admin()
	if err != nil {
		return err
	}
	return s.autonomy.Run(ctx, client, s.nodes, ready)
}

// held looks after what holds keep.
func (s *Server) held(ctx context.Context, ready func()) error {
	client, err := s.admin()
	if err != nil {
		return err
	}
	return s.hold.Run(ctx, client, s.nodes, ready)
}
