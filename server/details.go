package server

import (
	"github.com/skerry-io/skerry/internal/run"
	"github.com/skerry-io/skerry/server/manifests"
)

// told is what components tell the status of what they look after.
type told struct {
	backups, datastore, dns, helm, members, metrics, secrets, servicelb, storage run.Rows
	losses                                                                       []loss // found by this start, and not told by Events
	waits                                                                        bool   // for a datastore of others
}

// manifestDetails tells how far each of the user's manifests is.
func (s *Server) manifestDetails() []run.Detail {
	files := s.manifests.State()
	details := make([]run.Detail, 0, len(files))
	for _, f := range files {
		details = append(details, run.Detail{Name: f.File, State: string(f.Phase), Bad: f.Phase == manifests.Failed, Since: f.Since, Err: f.Err})
	}
	return details
}
