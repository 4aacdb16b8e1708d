package nodesettings

import (
	"context"
	"encoding/json"
	"sync/atomic"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

// roleLabel is how users and tools know a server among the nodes; a node may not give it to itself.
const roleLabel = "node-role.kubernetes.io/control-plane"

// role marks the server's own Node, once in each start: who takes the label away has a reason.
type role struct {
	client kubernetes.Interface
	node   string // empty where the server is no node
	done   atomic.Bool
}

func (r *role) give(ctx context.Context, n *core.Node) error {
	if n.Name != r.node || r.done.Load() {
		return nil
	}
	if _, has := n.Labels[roleLabel]; !has {
		patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": map[string]string{roleLabel: "true"}}})
		if err != nil {
			return err
		}
		if _, err := r.client.CoreV1().Nodes().Patch(ctx, n.Name, types.MergePatchType, patch, meta.PatchOptions{}); err != nil {
			return err
		}
	}
	r.done.Store(true)
	return nil
}
