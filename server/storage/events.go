package storage

import (
	"context"
	"fmt"

	core "k8s.io/api/core/v1"

	"github.com/skerry-io/skerry/server/events"
)

// claimKind is what claims are in events.
const claimKind = "PersistentVolumeClaim"

// Reasons that the status tells apart.
const (
	reasonRefused = "ProvisioningFailed"
	reasonStays   = "VolumeFailedDelete"
)

// notice is what an event says.
type notice struct{ kind, reason, message string }

func warning(reason, format string, args ...any) notice {
	return notice{core.EventTypeWarning, reason, fmt.Sprintf(format, args...)}
}

// tellClaim leaves an Event that `kubectl describe pvc` shows.
func (s *Storage) tellClaim(ctx context.Context, c *core.PersistentVolumeClaim, n notice) error {
	s.rows.Set(n.row(rowOfClaim(c)))
	return s.tell(ctx, core.ObjectReference{Kind: claimKind, APIVersion: "v1", Namespace: c.Namespace, Name: c.Name, UID: c.UID}, n)
}

// tellVolume leaves an Event that `kubectl describe pv` shows.
func (s *Storage) tellVolume(ctx context.Context, v *core.PersistentVolume, n notice) error {
	s.rows.Set(n.row(v.Name))
	return s.tell(ctx, core.ObjectReference{Kind: "PersistentVolume", APIVersion: "v1", Name: v.Name, UID: v.UID}, n)
}

func (s *Storage) tell(ctx context.Context, about core.ObjectReference, n notice) error {
	return events.Teller{Client: s.client, Component: provisioner}.Tell(ctx, events.Event{About: about, Type: n.kind, Reason: n.reason, Message: n.message})
}
