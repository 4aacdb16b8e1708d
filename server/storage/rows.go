package storage

import (
	"errors"

	core "k8s.io/api/core/v1"

	"github.com/skerry-io/skerry/internal/run"
)

// States of what something is in the way of, until nothing is.
const (
	rowWaiting = "waiting" // for a node
	rowTrying  = "trying"  // to do something about it
)

// rowOfClaim is what the status calls a claim.
func rowOfClaim(c *core.PersistentVolumeClaim) string { return c.Namespace + "/" + c.Name }

// row is what the status calls the claim or the volume.
func (i item) row() string {
	if i.volume != "" {
		return i.volume
	}
	return i.namespace + "/" + i.claim
}

// row tells of what is in the way. Claims are their owners' matter and nodes come and go, so none of it is trouble of the server,
// but for a directory that will not go.
func (n notice) row(name string) run.Detail {
	state := rowWaiting
	switch n.reason {
	case reasonRefused:
		state = "refused"
	case reasonStays:
		state = "not removed"
	}
	return run.Detail{Name: name, State: state, Bad: n.reason == reasonStays, Err: errors.New(n.message)}
}
