package server

import (
	"context"
	"slices"

	"github.com/skerry-io/skerry/internal/wire"
	"github.com/skerry-io/skerry/server/dns"
)

// dns keeps what nodes need to answer for the cluster, or takes it away.
func (s *Server) dns(ctx context.Context, ready func()) error {
	client, err := s.admin()
	if err != nil {
		return err
	}
	if !slices.Contains(s.config.Disable, wire.ComponentDNS) {
		return dns.Run(ctx, client, dns.Config{Addresses: s.config.ClusterDNS, Nodes: s.nodes, Rows: &s.told.dns, Log: s.log}, ready)
	}
	if err := dns.Remove(ctx, client); err != nil {
		return err
	}
	ready()
	<-ctx.Done()
	return nil
}
