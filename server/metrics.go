package server

import (
	"context"

	"k8s.io/kube-aggregator/pkg/client/clientset_generated/clientset"

	"github.com/skerry-io/skerry/server/metrics"
)

// newMetrics prepares the metrics API; nil when the user does without it. It asks kubelets as the API server does: by
// the same dialer, with the same certificate.
func (s *Server) newMetrics() *metrics.Metrics {
	if s.without("metrics") {
		return nil
	}
	c := metrics.Config{
		CAFile:   s.pki.Authority("server-ca").CertFile(),
		CertFile: s.pki.KubeletClient.CertFile(),
		KeyFile:  s.pki.KubeletClient.KeyFile(),
		Rows:     &s.told.metrics,
	}
	if s.egress != nil {
		c.Dial = s.egress.Dial
	}
	return metrics.New(c)
}

// sample fills the metrics API, or takes away what announces it.
func (s *Server) sample(ctx context.Context, ready func()) error {
	var to metrics.Clients
	var err error
	if to.Core, err = s.admin(); err != nil {
		return err
	}
	if to.Aggregation, err = clientset.NewForConfig(s.adminConfig()); err != nil {
		return err
	}
	if s.metrics != nil {
		return s.metrics.Run(ctx, to, ready)
	}
	if err := metrics.Remove(ctx, to); err != nil {
		return err
	}
	ready()
	<-ctx.Done()
	return nil
}
