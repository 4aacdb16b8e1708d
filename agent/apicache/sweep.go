package apicache

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"time"
)

const (
	// sweepEvery is how often it is looked for what nobody needs any more.
	sweepEvery = 30 * time.Minute
	// unwatched is how long a Secret or ConfigMap is kept after its last watch ended, while servers answer and no pod of this node refers
	// to it. Other lists are few, and some are asked for at the start only.
	unwatched = time.Hour
	// maxSingles bounds the objects that were asked for by their names only.
	maxSingles = 1024
)

// sweep forgets lists that nobody watches any more, the tokens of pods that are gone, and of single objects the oldest.
func (k *Cache) sweep(now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var singles []*view
	needed := k.needed()
	for _, v := range k.index.views {
		switch {
		case v.of == tokensKind:
			k.sweepTokens(v, now)
		case v.version == "":
			singles = append(singles, v)
		case !v.passing():
		case v.used == 0: // it is from disk; its time begins now
			v.used = now.Unix()
		case v.watches == 0 && len(v.listeners) == 0 && now.Sub(time.Unix(v.used, 0)) > unwatched && k.listening == 0 && !needed[v.object()]:
			k.index.forget(v)
		}
	}
	slices.SortFunc(singles, func(a, b *view) int { return cmp.Compare(a.used, b.used) })
	for i := 0; i < len(singles)-maxSingles; i++ {
		k.index.forget(singles[i])
	}
	k.full = false
	k.changed()
}

// passing says that a view comes and goes with pods.
func (v *view) passing() bool { return v.of == "/secrets" || v.of == "/configmaps" }

// object is what a view that is selected by a name is of.
func (v *view) object() ref {
	of := query{path: v.key.Path}
	of.parsePath()
	return ref{Kind: v.of, Namespace: of.namespace, Name: strings.TrimPrefix(v.key.Fields, byName)}
}

// needed are the Secrets and ConfigMaps that this node's pods refer to. They are not watched all the time: the kubelet stops when only
// environment variables take them, minutes after the pod has started, and when they are immutable. mu is held.
func (k *Cache) needed() map[ref]bool {
	all := map[ref]bool{}
	own := k.own()
	if own == nil {
		return all
	}
	for at := range own.members {
		o, err := k.get(at)
		if err != nil {
			continue
		}
		pod, ok := k.podOf(at, o)
		if !ok {
			continue
		}
		secrets, configMaps := k.config.Refers(pod)
		for _, name := range secrets {
			all[ref{Kind: "/secrets", Namespace: at.Namespace, Name: name}] = true
		}
		for _, name := range configMaps {
			all[ref{Kind: "/configmaps", Namespace: at.Namespace, Name: name}] = true
		}
	}
	return all
}

// tokensKind is what the view of all tokens is of.
const tokensKind = "/" + tokens

// sweepTokens drops tokens that are over, and those whose pod is gone. mu is held.
func (k *Cache) sweepTokens(v *view, now time.Time) {
	alive := map[string]bool{}
	for at, e := range k.index.entries {
		if at.Kind == pods {
			alive[e.meta.UID] = true
		}
	}
	for at := range v.members {
		var token kept
		o, err := k.get(at)
		if err == nil {
			err = json.Unmarshal(o.body, &token)
		}
		if err != nil || now.After(token.Expires) || !alive[token.Pod] {
			k.index.leave(v, at)
		}
	}
}
