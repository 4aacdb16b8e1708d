package server

import (
	"context"
	"slices"

	"github.com/skerry-io/skerry/internal/wire"
	"github.com/skerry-io/skerry/server/netpol"
)

// netpol lets nodes watch what network policies follow from, or no longer.
func (s *Server) netpol(ctx context.Context, ready func()) error {
	client, err := s.admin()
	if err != nil {
		return err
	}
	settle := netpol.Allow
	if slices.Contains(s.config.Disable, wire.ComponentNetworkPolicy) {
		settle = netpol.Forbid
	}
	if err := settle(ctx, client); err != nil {
		return err
	}
	ready()
	<-ctx.Done()
	return nil
}
