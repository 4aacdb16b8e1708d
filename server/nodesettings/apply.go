package nodesettings

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubeletapis "k8s.io/kubelet/pkg/apis"

	"github.com/skerry-io/skerry/internal/wire"
)

// seal is the key by which servers know what they wrote themselves.
type seal []byte

// of is the seal on what was applied to one Node.
func (s seal) of(node *core.Node, settings wire.NodeSettings) ([]byte, error) {
	text, err := json.Marshal(settings) // keys of maps are sorted
	if err != nil {
		return nil, err
	}
	mac := hmac.New(sha256.New, s)
	fmt.Fprintf(mac, "node settings\n%s\n%s\n", node.UID, text)
	return mac.Sum(nil), nil
}

// wanted is what a Node asks for, nil when it asks for nothing that could be read.
func wanted(node *core.Node) *wire.NodeSettings {
	var w wire.NodeSettings
	if json.Unmarshal([]byte(node.Annotations[wire.AnnotationWanted]), &w) != nil || w.Start == "" {
		return nil
	}
	return &w
}

// applied is what a server gave a Node before. What bears no good seal counts as nothing: a node could name a taint there
// that an administrator set, to have it taken away.
func (s seal) applied(node *core.Node) wire.NodeSettings {
	var a wire.AppliedSettings
	if json.Unmarshal([]byte(node.Annotations[wire.AnnotationApplied]), &a) != nil {
		return wire.NodeSettings{}
	}
	if want, err := s.of(node, a.NodeSettings); err != nil || !hmac.Equal(want, a.Seal) {
		return wire.NodeSettings{}
	}
	return a.NodeSettings
}

// open says that a Node asks for something that was not carried out yet.
func (s seal) open(node *core.Node) bool {
	w := wanted(node)
	return w != nil && w.Start != s.applied(node).Start
}

// apply changes a Node to what it asks for, and notes that on it. It gives what is refused.
func (s seal) apply(node *core.Node) (refused []string, err error) {
	now, before := wanted(node), s.applied(node)
	if now == nil {
		return nil, nil
	}
	refused = allow(now)
	for key, value := range before.Labels {
		if node.Labels[key] == value {
			delete(node.Labels, key) // what still is wanted comes back below
		}
	}
	for key, value := range now.Labels {
		meta.SetMetaDataLabel(&node.ObjectMeta, key, value)
	}
	node.Spec.Taints = slices.DeleteFunc(node.Spec.Taints, func(have core.Taint) bool { return slices.ContainsFunc(before.Taints, same(have)) })
	for _, t := range now.Taints {
		give(node, t)
	}
	sealed, err := s.of(node, *now)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(wire.AppliedSettings{NodeSettings: *now, Seal: sealed})
	if err != nil {
		return nil, err
	}
	meta.SetMetaDataAnnotation(&node.ObjectMeta, wire.AnnotationApplied, string(text))
	return refused, nil
}

// same finds a taint of the settings that is just as it was given.
func same(have core.Taint) func(wire.Taint) bool {
	return func(t wire.Taint) bool {
		return have.Key == t.Key && have.Value == t.Value && string(have.Effect) == t.Effect
	}
}

// give sets a taint; a Node has one of each key and effect.
func give(node *core.Node, t wire.Taint) {
	for i, have := range node.Spec.Taints {
		if have.Key == t.Key && string(have.Effect) == t.Effect {
			node.Spec.Taints[i].Value = t.Value
			return
		}
	}
	node.Spec.Taints = append(node.Spec.Taints, core.Taint{Key: t.Key, Value: t.Value, Effect: core.TaintEffect(t.Effect)})
}

// allow takes out of a request what is not a node's to take, and names it.
func allow(w *wire.NodeSettings) (refused []string) {
	for key := range w.Labels {
		if reservedLabel(key) {
			refused = append(refused, key)
			delete(w.Labels, key)
		}
	}
	w.Taints = slices.DeleteFunc(w.Taints, func(t wire.Taint) bool {
		if reservedTaint(t.Key) {
			refused = append(refused, t.Key)
		}
		return reservedTaint(t.Key)
	})
	slices.Sort(refused)
	return refused
}

// reservedLabel is the rule of the admission plugin NodeRestriction, which this server's own writes do not pass.
func reservedLabel(key string) bool {
	domain, _, found := strings.Cut(key, "/")
	return found && (within(domain, "kubernetes.io") || within(domain, "k8s.io")) && !kubeletapis.IsKubeletLabel(key)
}

// reservedTaint tells the taints by which controllers say what they know of a node.
func reservedTaint(key string) bool {
	domain, _, found := strings.Cut(key, "/")
	return found && (within(domain, "node.kubernetes.io") || within(domain, "node.cloudprovider.kubernetes.io"))
}

func within(domain, parent string) bool {
	return domain == parent || strings.HasSuffix(domain, "."+parent)
}
