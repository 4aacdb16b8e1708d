package labels

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/skerry-io/skerry/agent/nodewatch"
	"github.com/skerry-io/skerry/internal/wire"
)

// Config is what the settings say.
type Config struct {
	Kubeconfig string // of the kubelet
	NodeName   string
	Labels     map[string]string
	Taints     []core.Taint
}

// Run asks once the Node exists, and waits for the end.
func Run(ctx context.Context, c Config, ready func()) error {
	ready() // nothing waits for it
	return nodewatch.Once(ctx, c.Kubeconfig, c.NodeName, func(ctx context.Context, client kubernetes.Interface, node *core.Node) error {
		if err := c.ask(ctx, client, node); err != nil {
			return fmt.Errorf("ask for the node's labels and taints: %w", err)
		}
		return nil
	})
}

// ask writes the wish onto the Node unless it is fulfilled.
func (c Config) ask(ctx context.Context, client kubernetes.Interface, node *core.Node) error {
	wanted := wire.NodeSettings{Start: rand.Text(), Labels: c.Labels}
	for _, t := range c.Taints {
		wanted.Taints = append(wanted.Taints, wire.Taint{Key: t.Key, Value: t.Value, Effect: string(t.Effect)})
	}
	if fulfilled(node, wanted) {
		return nil
	}
	text, err := json.Marshal(wanted)
	if err != nil {
		return err
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{wire.AnnotationWanted: string(text)}}})
	if err != nil {
		return err
	}
	_, err = client.CoreV1().Nodes().Patch(ctx, node.Name, types.MergePatchType, patch, meta.PatchOptions{})
	return err
}

// fulfilled says that the Node has all that is wanted, and nothing that was wanted once and is not now.
func fulfilled(node *core.Node, wanted wire.NodeSettings) bool {
	var applied wire.AppliedSettings
	if text := node.Annotations[wire.AnnotationApplied]; text != "" && json.Unmarshal([]byte(text), &applied) != nil {
		return false
	}
	if !maps.Equal(applied.Labels, wanted.Labels) || !sameTaints(applied.Taints, wanted.Taints) {
		return false
	}
	for key, value := range wanted.Labels {
		if have, there := node.Labels[key]; !there || have != value {
			return false
		}
	}
	for _, t := range wanted.Taints {
		if !slices.ContainsFunc(node.Spec.Taints, func(have core.Taint) bool {
			return have.Key == t.Key && have.Value == t.Value && string(have.Effect) == t.Effect
		}) {
			return false
		}
	}
	return true
}

func sameTaints(a, b []wire.Taint) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(t wire.Taint) bool { return !slices.Contains(b, t) })
}
