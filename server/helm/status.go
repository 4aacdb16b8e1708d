package helm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	core "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/skerry-io/skerry/internal/run"
	"github.com/skerry-io/skerry/server/helm/releases"
)

// Conditions of an object.
const (
	conditionReady  = "Ready"  // the release is what the object says
	conditionFailed = "Failed" // it is not, and is not tried again until something changes
)

// Reasons of the conditions, and of events.
const (
	reasonDeployed   = "Deployed"
	reasonWorking    = "Working"
	reasonInvalid    = "Invalid"
	reasonInputs     = "InputsMissing"
	reasonNamespace  = "NamespaceMissing"
	reasonNoChart    = "ChartNotFetched"
	reasonTaken      = "ReleaseTaken"
	reasonInstall    = "InstallFailed"
	reasonRolledBack = "RolledBack"
	reasonUpgrade    = "UpgradeFailed"
	reasonUninstall  = "UninstallFailed"
)

// maxMessage is what the API server takes as the message of an Event.
const maxMessage = 1024

// defaultLimit is k3s's: how often a release is tried.
const defaultLimit = 1000

// pause says how long it is until a release that failed with these inputs is tried again, and whether it is at all.
func (c *helmChart) pause(sum string, now time.Time) (wait time.Duration, over bool) {
	s := c.Status
	if s.Tries == 0 || s.Tried != sum || s.ObservedGeneration != c.Generation || s.LastTry == nil {
		return 0, false
	}
	if apimeta.IsStatusConditionTrue(s.Conditions, conditionFailed) {
		return 0, true
	}
	wait = min(firstRetry<<min(s.Tries-1, 16), longestRetry)
	return max(wait-now.Sub(s.LastTry.Time), 0), false
}

// rest says that the release is as it should be, if that was not said before.
func (h *Helm) rest(ctx context.Context, c *helmChart) error {
	message := "the release is as this object says"
	if ready := apimeta.FindStatusCondition(c.Status.Conditions, conditionReady); ready != nil && ready.Status == meta.ConditionTrue {
		message = ready.Message
	}
	return h.say(ctx, c, reasonDeployed, message, func(s *chartStatus) { s.Tries, s.Tried, s.LastTry = 0, "", nil })
}

// begin says that the release is being worked on.
func (h *Helm) begin(ctx context.Context, c *helmChart) error {
	return h.say(ctx, c, reasonWorking, "the chart is being installed", func(*chartStatus) {})
}

// succeed says that the release is what the object says.
func (h *Helm) succeed(ctx context.Context, c *helmChart, sum string, r releases.Release, from string) error {
	did := "Upgraded"
	if r.Fresh {
		did = "Installed"
	}
	message := fmt.Sprintf("%s %s from %s, revision %d", r.Chart, r.Version, from, r.Revision)
	h.log.Info("a chart is "+strings.ToLower(did), "chart", c.key(), "version", r.Version, "namespace", c.target(), "revision", r.Revision)
	h.tell(ctx, c, core.EventTypeNormal, did, message)
	return h.say(ctx, c, reasonDeployed, message, func(s *chartStatus) {
		s.Inputs, s.Tries, s.Tried, s.LastTry = sum, 0, "", nil
		s.Release = &releaseStatus{Name: c.Name, Namespace: c.target(), Revision: r.Revision, Chart: r.Chart, Version: r.Version, AppVersion: r.AppVersion}
	})
}

// overtaken notes that what the release is now is not known, because it was broken off.
func (h *Helm) overtaken(ctx context.Context, c *helmChart) error {
	return h.say(ctx, c, reasonWorking, errOvertaken.Error(), func(s *chartStatus) { s.Inputs = "" })
}

// obstacle says what is in the way of a release, and gives the pause until it is tried again.
func (h *Helm) obstacle(ctx context.Context, c *helmChart, reason string, err error) (time.Duration, error) {
	if ctx.Err() != nil {
		return 0, nil
	}
	h.complain(ctx, c, reason, err)
	wrong := h.say(ctx, c, reason, err.Error(), func(*chartStatus) {})
	h.row(c, err)
	longest := longestPause
	if reason == reasonNamespace {
		longest = spacePause // nothing tells when it comes
	}
	return h.desk.failed(c.key(), longest), wrong
}

// fail says that a release could not be made, and gives the pause until it is tried again.
func (h *Helm) fail(ctx context.Context, c *helmChart, sum string, abort bool, err error) (time.Duration, error) {
	reason, lost := reasonInstall, false
	var failure *releases.Failure
	if errors.As(err, &failure) {
		lost = failure.BackTo == 0
		switch {
		case failure.BackTo != 0:
			reason = reasonRolledBack
		case failure.Step == "upgrade":
			reason = reasonUpgrade
		}
	}
	tries, limit := 1, defaultLimit
	if c.Status.Tried == sum && c.Status.ObservedGeneration == c.Generation {
		tries += c.Status.Tries
	}
	if c.Spec.BackOffLimit != nil {
		limit = *c.Spec.BackOffLimit
	}
	over := abort || tries > limit
	h.complain(ctx, c, reason, err)
	now := meta.Now()
	wrong := h.say(ctx, c, reason, err.Error(), func(s *chartStatus) {
		s.Tries, s.Tried, s.LastTry = tries, sum, &now
		if lost {
			s.Inputs = ""
		}
		setCondition(s, c.Generation, conditionFailed, over, reason, err.Error())
	})
	h.row(c, err)
	wait, _ := c.pause(sum, now.Time)
	return wait, wrong
}

// say writes the status, unless it says that already.
func (h *Helm) say(ctx context.Context, c *helmChart, reason, message string, change func(*chartStatus)) error {
	before := c.Status
	s := &c.Status
	s.Conditions = append([]meta.Condition(nil), before.Conditions...)
	s.ObservedGeneration = c.Generation
	setCondition(s, c.Generation, conditionReady, reason == reasonDeployed, reason, message)
	setCondition(s, c.Generation, conditionFailed, false, reason, "")
	change(s)
	h.row(c, nil)
	if reflect.DeepEqual(before, *s) {
		return nil
	}
	patch, err := json.Marshal([]map[string]any{
		{"op": "test", "path": "/metadata/uid", "value": c.UID},
		{"op": "add", "path": "/status", "value": s},
	})
	if err != nil {
		return err
	}
	_, err = h.clients.Dynamic.Resource(charts()).Namespace(c.Namespace).
		Patch(ctx, c.Name, types.JSONPatchType, patch, meta.PatchOptions{FieldManager: fieldManager}, "status")
	return ignoreGone(err)
}

func setCondition(s *chartStatus, generation int64, kind string, is bool, reason, message string) {
	c := meta.Condition{Type: kind, Status: meta.ConditionFalse, Reason: reason, Message: brief(message), ObservedGeneration: generation}
	if is {
		c.Status = meta.ConditionTrue
	}
	apimeta.SetStatusCondition(&s.Conditions, c)
}

// brief bounds a message.
func brief(message string) string {
	if len(message) > maxMessage {
		return strings.ToValidUTF8(message[:maxMessage-4], "") + " ..."
	}
	return message
}

// row shows in `skerry status` how the object is. Without err it is as its conditions say.
func (h *Helm) row(c *helmChart, err error) {
	ready := apimeta.FindStatusCondition(c.Status.Conditions, conditionReady)
	d := run.Detail{Name: c.key().String(), Err: err}
	switch {
	case ready == nil:
		d.State = "waiting"
	case ready.Status == meta.ConditionTrue:
		d.State, d.Err = "deployed", nil
	case ready.Reason == reasonWorking:
		d.State = "working"
	case errors.Is(err, errMissing):
		d.State = "waiting"
	default:
		d.State, d.Bad = "failed", true
		if d.Err == nil {
			d.Err = errors.New(ready.Message)
		}
	}
	h.config.Rows.Set(d)
}
