package nodesettings

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync/atomic"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// roleLabel is how users and tools know a server among the nodes; a node may not give it to itself.
const roleLabel = "node-role.kubernetes.io/control-plane"

// IsServer says that a Node is a server's.
func IsServer(n *core.Node) bool {
	_, is := n.Labels[roleLabel]
	return is
}

// memberLabel is how they know a server that keeps the datastore with others.
const memberLabel = "node-role.kubernetes.io/etcd"

// role marks the server's own Node, once in each start: who takes the label away has a reason.
type role struct {
	client kubernetes.Interface
	node   string // empty where the server is no node
	member bool   // it keeps the datastore with others
	done   atomic.Bool
}

// GiveRole marks this server's own Node, where another server may do all else that Run does. Somebody else watches nodes.
func GiveRole(ctx context.Context, client kubernetes.Interface, c Config, ready func()) error {
	own := &role{client: client, node: c.Own, member: c.Member}
	look := func(object any) {
		if n, ok := object.(*core.Node); ok {
			own.look(ctx, n, c.Log)
		}
	}
	following, err := c.Nodes.AddEventHandlerWithResyncPeriod(cache.ResourceEventHandlerFuncs{AddFunc: look, UpdateFunc: func(_, now any) { look(now) }}, 0)
	if err != nil {
		return fmt.Errorf("watch nodes: %w", err)
	}
	ready()
	<-ctx.Done()
	return c.Nodes.RemoveEventHandler(following)
}

// look gives a Node its role if it is the own one.
func (r *role) look(ctx context.Context, n *core.Node, log *slog.Logger) {
	if err := r.give(ctx, n); err != nil && ctx.Err() == nil {
		log.Warn("this server's node did not get its role; its next report tries again", "node", n.Name, "err", err)
	}
}

func (r *role) give(ctx context.Context, n *core.Node) error {
	if n.Name != r.node || r.done.Load() {
		return nil
	}
	missing := map[string]string{}
	for label, wanted := range map[string]bool{roleLabel: true, memberLabel: r.member} {
		if _, has := n.Labels[label]; wanted && !has {
			missing[label] = "true"
		}
	}
	if len(missing) > 0 {
		patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": missing}})
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
