package storage

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"strings"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// longestName bounds what of an object's name is in an event's, whose whole name may have 253 letters.
const longestName = 200

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
	return s.tell(ctx, c.Namespace, core.ObjectReference{Kind: claimKind, APIVersion: "v1", Namespace: c.Namespace, Name: c.Name, UID: c.UID}, n)
}

// tellVolume leaves an Event that `kubectl describe pv` shows.
func (s *Storage) tellVolume(ctx context.Context, v *core.PersistentVolume, n notice) error {
	s.rows.Set(n.row(v.Name))
	return s.tell(ctx, meta.NamespaceDefault, core.ObjectReference{Kind: "PersistentVolume", APIVersion: "v1", Name: v.Name, UID: v.UID}, n)
}

// tell writes an Event, or counts one more of the same: its name is made of what it says, so that several servers, or one
// that started again, do not say it side by side.
func (s *Storage) tell(ctx context.Context, namespace string, about core.ObjectReference, n notice) error {
	sum := fnv.New64a()
	fmt.Fprint(sum, about.UID, "\n", n.reason, "\n", n.message)
	events, now := s.client.CoreV1().Events(namespace), meta.Now()
	name := fmt.Sprintf("%s.%016x", strings.TrimRight(about.Name[:min(len(about.Name), longestName)], ".-"), sum.Sum64())
	_, err := events.Create(ctx, &core.Event{
		ObjectMeta:     meta.ObjectMeta{Name: name, Namespace: namespace},
		InvolvedObject: about,
		Type:           n.kind,
		Reason:         n.reason,
		Message:        n.message,
		Source:         core.EventSource{Component: provisioner},
		FirstTimestamp: now,
		LastTimestamp:  now,
		Count:          1,
	}, meta.CreateOptions{})
	if !apierrors.IsAlreadyExists(err) {
		return gone(err)
	}
	have, err := events.Get(ctx, name, meta.GetOptions{})
	if err != nil {
		return gone(err)
	}
	patch, err := json.Marshal(map[string]any{"count": have.Count + 1, "lastTimestamp": now})
	if err != nil {
		return err
	}
	_, err = events.Patch(ctx, name, types.MergePatchType, patch, meta.PatchOptions{})
	return gone(err)
}

// gone forgives that there is nobody left to tell: the namespace is being deleted, or the event was.
func gone(err error) error {
	if apierrors.IsNotFound(err) || apierrors.HasStatusCause(err, core.NamespaceTerminatingCause) {
		return nil
	}
	return err
}
