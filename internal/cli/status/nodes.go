package status

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/skerry-io/skerry/internal/cli/cluster"
)

// node is what is told of a Node; its names are part of the interface.
type node struct {
	Name   string    `json:"name"`
	Own    bool      `json:"own,omitempty"` // it is this host
	Ready  bool      `json:"ready"`
	Since  time.Time `json:"since,omitzero"`   // when it became Ready, or stopped being it
	Reason string    `json:"reason,omitempty"` // why it is not Ready
	Closed bool      `json:"closed,omitempty"` // it takes no new pods
}

// nodesOf asks for all Nodes, or, as a node may see no other, for the own one alone.
func nodesOf(ctx context.Context, kubeconfig, own string, alone bool) ([]node, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("use the kubeconfig %s: %w", kubeconfig, err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("use the kubeconfig %s: %w", kubeconfig, err)
	}
	return list(ctx, client, own, alone)
}

func list(ctx context.Context, client kubernetes.Interface, own string, alone bool) ([]node, error) {
	var which meta.ListOptions
	if alone {
		which.FieldSelector = fields.OneTermEqualSelector("metadata.name", own).String()
	}
	found, err := client.CoreV1().Nodes().List(ctx, which)
	if err != nil {
		return nil, cluster.Explain(err, "list the nodes")
	}
	all := make([]node, 0, len(found.Items))
	for i := range found.Items {
		n := nodeOf(&found.Items[i])
		n.Own = n.Name == own
		all = append(all, n)
	}
	slices.SortFunc(all, func(a, b node) int {
		return cmp.Or(later(a.Ready, b.Ready), -later(a.Own, b.Own), strings.Compare(a.Name, b.Name))
	})
	return all, nil
}

// later sorts what is so behind what is not.
func later(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

func nodeOf(n *core.Node) node {
	told := node{Name: n.Name, Since: n.CreationTimestamp.Time, Closed: n.Spec.Unschedulable, Reason: "it has not said how it is"}
	for _, c := range n.Status.Conditions {
		if c.Type != core.NodeReady {
			continue
		}
		told.Ready, told.Since, told.Reason = c.Status == core.ConditionTrue, c.LastTransitionTime.Time, ""
		switch c.Status {
		case core.ConditionTrue:
		case core.ConditionUnknown: // set by the controllers; the last word of its kubelet here may be an hour old, its lease told more since
			told.Reason = "nothing is heard of it"
		default:
			told.Reason = c.Message
		}
	}
	return told
}
