package helm

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"strings"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// longestName bounds what of an object's name is in an event's, whose whole name may have 253 letters.
const longestName = 200

// complain logs trouble and leaves an Event, when it is new.
func (h *Helm) complain(ctx context.Context, c *helmChart, reason string, err error) {
	said := apimeta.FindStatusCondition(c.Status.Conditions, conditionReady)
	if said != nil && said.Reason == reason && said.Message == brief(err.Error()) {
		return
	}
	h.log.Warn("a HelmChart is in trouble", "chart", c.key(), "reason", reason, "err", err)
	h.tell(ctx, c, core.EventTypeWarning, reason, err.Error())
}

// tell leaves an Event that `kubectl describe helmchart` shows, or counts one more of the same.
func (h *Helm) tell(ctx context.Context, c *helmChart, kind, reason, message string) {
	sum := fnv.New64a()
	fmt.Fprint(sum, c.UID, "\n", reason, "\n", message)
	events, now := h.clients.Core.CoreV1().Events(c.Namespace), meta.Now()
	name := fmt.Sprintf("%s.%016x", strings.TrimRight(c.Name[:min(len(c.Name), longestName)], ".-"), sum.Sum64())
	_, err := events.Create(ctx, &core.Event{
		ObjectMeta:     meta.ObjectMeta{Name: name, Namespace: c.Namespace},
		InvolvedObject: core.ObjectReference{APIVersion: apiVersion, Kind: kindChart, Namespace: c.Namespace, Name: c.Name, UID: c.UID},
		Type:           kind,
		Reason:         reason,
		Message:        brief(message),
		Source:         core.EventSource{Component: fieldManager, Host: h.config.Server},
		FirstTimestamp: now,
		LastTimestamp:  now,
		Count:          1,
	}, meta.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		err = h.count(ctx, c.Namespace, name)
	}
	if err != nil && ctx.Err() == nil {
		h.log.Debug("no event could be left", "chart", c.key(), "err", err)
	}
}

// count has an Event say that it happened once more.
func (h *Helm) count(ctx context.Context, namespace, name string) error {
	events := h.clients.Core.CoreV1().Events(namespace)
	have, err := events.Get(ctx, name, meta.GetOptions{})
	if err != nil {
		return err
	}
	patch, err := json.Marshal(map[string]any{"count": have.Count + 1, "lastTimestamp": meta.Now()})
	if err != nil {
		return err
	}
	_, err = events.Patch(ctx, name, types.MergePatchType, patch, meta.PatchOptions{})
	return err
}
