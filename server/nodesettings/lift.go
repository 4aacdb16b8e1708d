package nodesettings

import (
	"context"
	"slices"
	"strings"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"

	"github.com/skerry-io/skerry/internal/wire"
)

// cloudTaint keeps pods off a Node until a cloud controller has seen it. The kubelet sets it when its Node has addresses
// that it does not know of itself.
const cloudTaint = "node.cloudprovider.kubernetes.io/uninitialized"

// waitsForCloud says that a Node of ours waits for a cloud controller, which there is none of: what one would write, the
// node writes itself. Nodes that the user gave another provider are that one's.
func waitsForCloud(n *core.Node) bool {
	return strings.HasPrefix(n.Spec.ProviderID, wire.ProviderPrefix) && slices.ContainsFunc(n.Spec.Taints, isCloudTaint)
}

func isCloudTaint(t core.Taint) bool { return t.Key == cloudTaint }

// lift takes the taint off.
func (k keeper) lift(ctx context.Context, name string) error {
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
		node, err := k.client.CoreV1().Nodes().Get(ctx, name, meta.GetOptions{})
		if err != nil || !waitsForCloud(node) {
			return err
		}
		node.Spec.Taints = slices.DeleteFunc(node.Spec.Taints, isCloudTaint)
		_, err = k.client.CoreV1().Nodes().Update(ctx, node, meta.UpdateOptions{})
		return err
	})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
