package helm

import (
	"context"

	core "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"

	"github.com/skerry-io/skerry/server/events"
)

// complain logs trouble and leaves an Event, when it is new.
func (h *Helm) complain(ctx context.Context, c *helmChart, reason string, err error) {
	said := apimeta.FindStatusCondition(c.Status.Conditions, conditionReady)
	if said != nil && said.Reason == reason && said.Message == brief(err.Error()) {
		return
	}
	h.log.Warn("a HelmChart is in trouble", "chart", c.key(), "reason", reason, "err", err)
	h.tell(ctx, c, core.EventTypeWarning, reason, err.Error())
}

// tell leaves an Event that `kubectl describe helmchart` shows.
func (h *Helm) tell(ctx context.Context, c *helmChart, kind, reason, message string) {
	err := events.Teller{Client: h.clients.Core, Component: fieldManager, Host: h.config.Server}.Tell(ctx, events.Event{
		About:   core.ObjectReference{APIVersion: apiVersion, Kind: kindChart, Namespace: c.Namespace, Name: c.Name, UID: c.UID},
		Type:    kind,
		Reason:  reason,
		Message: brief(message),
	})
	if err != nil && ctx.Err() == nil {
		h.log.Debug("no event could be left", "chart", c.key(), "err", err)
	}
}
