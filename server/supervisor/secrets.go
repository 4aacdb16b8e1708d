package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/skerry-io/skerry/internal/wire"
)

// Secrets is who knows how Secrets are stored.
type Secrets interface {
	// Status says it; it reads all of them.
	Status(ctx context.Context) (wire.SecretsStatus, error)
	// Rotate replaces the key, and goes on when ctx ends.
	Rotate(ctx context.Context, say func(wire.SecretsProgress)) error
	// Name is this server's, among those of the cluster.
	Name() string
	// Loaded gives the hash of the file in force, soon after it is the wanted one, or when ctx ends.
	Loaded(ctx context.Context, hash string) (string, error)
}

func (s *Supervisor) secretsStatus(w http.ResponseWriter, r *http.Request, _ caller) error {
	if err := s.knowsSecrets(); err != nil {
		return err
	}
	status, err := s.Secrets.Status(r.Context())
	if err != nil {
		return err
	}
	return s.tell(w, status)
}

// secretsRotate writes a line for each step. Who does not listen any more stops nothing.
func (s *Supervisor) secretsRotate(w http.ResponseWriter, r *http.Request, _ caller) error {
	if err := s.knowsSecrets(); err != nil {
		return err
	}
	s.Log.Info("the key of Secrets is to be changed", "from", addressOf(r))
	w.Header().Set("Content-Type", "application/json")
	lines, flush := json.NewEncoder(w), http.NewResponseController(w)
	say := func(p wire.SecretsProgress) {
		_ = errors.Join(lines.Encode(p), flush.Flush()) // the end of the request says that nobody listens
	}
	err := s.Secrets.Rotate(r.Context(), say)
	last := wire.SecretsProgress{Done: err == nil}
	if err != nil {
		s.Log.Error("the key of Secrets could not be changed", "err", err)
		last.Trouble, last.Cure, _ = strings.Cut(err.Error(), "; to cure: ")
	}
	say(last)
	return nil // the answer has begun, and can say nothing else
}

// secretsLoaded is for the other servers.
func (s *Supervisor) secretsLoaded(w http.ResponseWriter, r *http.Request, _ caller) error {
	if err := s.knowsSecrets(); err != nil {
		return err
	}
	hash, err := s.Secrets.Loaded(r.Context(), r.URL.Query().Get("hash"))
	if err != nil && r.Context().Err() == nil {
		return err
	}
	return s.tell(w, wire.SecretsLoaded{Hash: hash, Name: s.Secrets.Name()})
}

func (s *Supervisor) knowsSecrets() error {
	switch {
	case s.Secrets == nil:
		return refusal{http.StatusNotFound, "this server knows nothing of how Secrets are stored"}
	case s.Client() == nil:
		return errNoAPI
	}
	return nil
}
