package supervisor

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/skerry-io/skerry/internal/lines"
	"github.com/skerry-io/skerry/internal/wire"
)

// Volumes is who knows what nodes shall do about volumes.
type Volumes interface {
	// Orders sends the node's list, and again whenever it differs, until ctx ends or send cannot.
	Orders(ctx context.Context, node string, send func(wire.VolumeOrders) error) error
	// Report takes what a node did.
	Report(ctx context.Context, node string, r wire.VolumeReport) (wire.VolumeAnswer, error)
}

// volumeOrders writes one list in each line for as long as the node listens.
func (s *Supervisor) volumeOrders(w http.ResponseWriter, r *http.Request, c caller) error {
	if err := s.keepsVolumes(r.Context(), c); err != nil {
		return err
	}
	say, err := lines.Open(w)
	if err != nil {
		return err
	}
	err = s.Volumes.Orders(r.Context(), c.name, func(orders wire.VolumeOrders) error {
		line, err := json.Marshal(orders)
		if err != nil {
			return err
		}
		return say(line)
	})
	if err != nil && r.Context().Err() == nil {
		s.Log.Debug("a node does not listen any more", "node", c.name, "err", err)
	}
	return nil // the answer has begun, and can say nothing else
}

func (s *Supervisor) volumeReport(w http.ResponseWriter, r *http.Request, c caller) error {
	if err := s.keepsVolumes(r.Context(), c); err != nil {
		return err
	}
	var report wire.VolumeReport
	if err := readBody(w, r, &report); err != nil {
		return err
	}
	answer, err := s.Volumes.Report(r.Context(), c.name, report)
	if err != nil {
		return err
	}
	return s.tell(w, answer)
}

// keepsVolumes lets a node pass that has not been replaced.
func (s *Supervisor) keepsVolumes(ctx context.Context, c caller) error {
	if s.Volumes == nil {
		return refusal{http.StatusNotFound, "this cluster does without the component storage"}
	}
	if s.Client() == nil {
		return errNoAPI
	}
	return s.known(ctx, c)
}
