package externalip

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/skerry-io/skerry/agent/nodewatch"
)

// Config is what the settings say.
type Config struct {
	Kubeconfig string // of the kubelet
	NodeName   string
	Internal   []netip.Addr
	External   []netip.Addr
}

// Run writes the addresses once the Node exists, and waits for the end: they change with a new start alone.
func Run(ctx context.Context, c Config, ready func()) error {
	ready() // nothing waits for it
	return nodewatch.Once(ctx, c.Kubeconfig, c.NodeName, func(ctx context.Context, client kubernetes.Interface, node *core.Node) error {
		if err := c.write(ctx, client, node); err != nil {
			return fmt.Errorf("write the node's external addresses: %w", err)
		}
		return nil
	})
}

// write replaces the addresses of the Node unless they are these.
func (c Config) write(ctx context.Context, client kubernetes.Interface, node *core.Node) error {
	want := c.addresses()
	if slices.Equal(node.Status.Addresses, want) {
		return nil
	}
	// A merge patch: a strategic one would merge the list by type, and lose one of two families.
	patch, err := json.Marshal(map[string]any{"status": map[string]any{"addresses": want}})
	if err != nil {
		return err
	}
	_, err = client.CoreV1().Nodes().Patch(ctx, node.Name, types.MergePatchType, patch, meta.PatchOptions{}, "status")
	return err
}

// addresses are the kubelet's own, in its order, and the external ones.
func (c Config) addresses() []core.NodeAddress {
	var all []core.NodeAddress
	for _, ip := range c.Internal {
		all = append(all, core.NodeAddress{Type: core.NodeInternalIP, Address: ip.String()})
	}
	for _, ip := range c.External {
		all = append(all, core.NodeAddress{Type: core.NodeExternalIP, Address: ip.String()})
	}
	return append(all, core.NodeAddress{Type: core.NodeHostName, Address: c.NodeName})
}
