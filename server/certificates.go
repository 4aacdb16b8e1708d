package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"
)

// renewEvery is how often the age of the certificates is looked at: by the clock, which may be set while the server runs.
const renewEvery = 10 * time.Minute

// certificates keeps those of the control plane good for as long as the server runs. The port takes the new one for its
// next connection; all that name files (the API server towards kubelets and extension API servers, the controllers, the
// scheduler, the clients of this room) read them again by themselves, within minutes.
func (s *Server) certificates(ctx context.Context, ready func()) error {
	ready()
	for behind := false; ; {
		select {
		case <-time.After(renewEvery):
		case <-s.stepped:
		case <-ctx.Done():
			return nil
		}
		var err error
		if behind, err = s.renew(behind); err != nil {
			s.log.Warn("certificates of this server could not be renewed; trying on", "err", err)
		}
	}
}

// renew issues again what is about to expire, and passes it on to those who do not read files. behind says that an earlier
// call could not; the answer is whether this one could not.
func (s *Server) renew(behind bool) (bool, error) {
	renewed, err := s.pki.Renew(s.log)
	for _, pair := range renewed {
		s.log.Info("a certificate of this server is renewed", "file", pair.CertFile())
	}
	if len(renewed) == 0 && !behind {
		return false, err
	}
	passed := errors.Join(s.loadServing(), s.writeKubeconfigs())
	return passed != nil, errors.Join(err, passed)
}

// loadServing takes the port's certificate from its files.
func (s *Server) loadServing() error {
	pair, err := tls.LoadX509KeyPair(s.pki.APIServer.CertFile(), s.pki.APIServer.KeyFile())
	if err != nil {
		return fmt.Errorf("load the serving certificate: %w", err)
	}
	s.serving.Store(&pair)
	return nil
}
