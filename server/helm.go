package server

import (
	"context"
	"time"

	"github.com/skerry-io/skerry/server/helm"
)

// helm keeps releases as HelmCharts say. An answer may take as long as the slowest webhook.
func (s *Server) helm(ctx context.Context, ready func()) error {
	c := s.adminConfig()
	c.Timeout = 15 * time.Second
	to, err := helm.ClientsFor(c)
	if err != nil {
		return err
	}
	return helm.New(helm.Config{Static: s.paths.StaticDir(), Server: s.config.NodeName, Rows: &s.told.helm, Log: s.log}).Run(ctx, to, ready)
}
