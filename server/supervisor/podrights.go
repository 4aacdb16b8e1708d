package supervisor

import (
	"context"
	"net/http"

	"github.com/skerry-io/skerry/internal/lines"
)

// PodRights is who knows what nodes may answer their own pods.
type PodRights interface {
	// Tell sends the node what it needs for that, and again whenever it differs, until ctx ends or send cannot; the first time only
	// if it differs from what has the hash have.
	Tell(ctx context.Context, node, have string, send func(text []byte) error) error
}

// podRights writes one text in each line for as long as the node listens. A machine that was replaced meanwhile hears no more: the pods are
// another's now.
func (s *Supervisor) podRights(w http.ResponseWriter, r *http.Request, c caller) error {
	if s.Client() == nil {
		return errNoAPI
	}
	if err := s.known(r.Context(), c); err != nil {
		return err
	}
	say, err := lines.Open(w)
	if err != nil {
		return err
	}
	err = s.Rights.Tell(r.Context(), c.name, r.URL.Query().Get("have"), func(text []byte) error {
		if err := s.known(r.Context(), c); err != nil {
			return err
		}
		return say(text)
	})
	if err != nil && r.Context().Err() == nil {
		s.Log.Debug("a node hears no more of its pods' rights", "node", c.name, "err", err)
	}
	return nil // the answer has begun, and can say nothing else
}
