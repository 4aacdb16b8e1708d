package server

import (
	"context"
	"time"

	"github.com/skerry-io/skerry/internal/run"
	"github.com/skerry-io/skerry/server/secrets"
)

// openSecrets reads or makes the keys that Secrets are stored under.
func (s *Server) openSecrets() (err error) {
	c := secrets.Config{
		Name:    s.config.NodeName,
		File:    s.paths.EncryptionFile(),
		Enabled: s.config.SecretsEncryption,
		Waits:   s.config.DatastoreCommitInterval,
		Renew:   s.renewSnapshots,
		Rows:    &s.told.secrets,
		Log:     s.log,
	}
	if s.several() {
		c.Others, c.All, c.Share = s.others, s.allServers, s.shared.Publish
	}
	s.secrets, err = secrets.Open(c)
	return err
}

// secretsService is the row of what keeps Secrets under the right key.
func (s *Server) secretsService() run.Service {
	return run.Service{Name: "secrets", Needs: []string{"apiserver"}, Run: s.secrets.Run,
		Again: run.Backoff{Min: time.Second, Max: time.Minute}, Details: s.told.secrets.Details}
}

// renewSnapshots replaces the datastore's snapshots by one of now, where it has any.
func (s *Server) renewSnapshots(ctx context.Context) error {
	if renew := s.refresh.Load(); renew != nil {
		return (*renew)(ctx)
	}
	return nil
}
