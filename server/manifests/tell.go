package manifests

import (
	"context"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-io/skerry/server/events"
)

const (
	// patience is how long a file may wait for something before that is worth a word.
	patience = 5 * time.Second
	// reminder is after which time trouble that stays is told again: an Event lives for an hour.
	reminder = 30 * time.Minute
)

// tell logs the trouble of files and leaves Events: once when it is new, and again from time to time.
func (k *Keeper) tell(ctx context.Context) {
	now := time.Now()
	for _, m := range k.sorted() {
		switch {
		case m.phase == Applied && m.told != "":
			m.told = ""
			k.event(ctx, m, core.EventTypeNormal, "ManifestCured", m.path+": all it holds is applied")
		case m.err == nil:
		case m.phase != Failed && now.Sub(m.since) < patience:
		case m.entry.path != m.path && !m.gone: // the folder that it lies in is told
		case m.err.Error() != m.told || now.Sub(m.toldAt) > reminder:
			m.told, m.toldAt = m.err.Error(), now
			k.log.Warn("manifest is in trouble", "file", m.path, "phase", m.phase, "err", m.err)
			k.event(ctx, m, core.EventTypeWarning, "Manifest"+reason(m.phase), m.path+": "+m.told)
		}
	}
}

func reason(p Phase) string {
	switch p {
	case Waiting:
		return "Waits"
	case Removing:
		return "NotRemoved"
	}
	return "Failed"
}

// event is about the file's record, which exists once the file brought something.
func (k *Keeper) event(ctx context.Context, m *manifest, kind, reason, message string) {
	err := events.Teller{Client: k.clients.Core, Component: "skerry", Host: k.config.Server}.Tell(ctx, events.Event{Type: kind, Reason: reason, Message: message,
		About: core.ObjectReference{APIVersion: "v1", Kind: "ConfigMap", Namespace: meta.NamespaceSystem, Name: name(m.path, k.config.Server)}})
	if err != nil && ctx.Err() == nil {
		k.log.Debug("no event could be left", "file", m.path, "err", err)
	}
}
