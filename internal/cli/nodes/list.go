package nodes

import (
	"context"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/skerry-io/skerry/internal/cli/cluster"
	"github.com/skerry-io/skerry/internal/cli/command"
	"github.com/skerry-io/skerry/internal/wire"
	"github.com/skerry-io/skerry/server/nodes"
)

// entry is what `node list -o json` tells of a node; its names are part of the interface.
type entry struct {
	Name      string    `json:"name"`
	Status    string    `json:"status"`
	Roles     []string  `json:"roles"`
	Version   string    `json:"version"`
	Addresses []string  `json:"addresses"`
	External  []string  `json:"externalAddresses,omitempty"`
	Created   time.Time `json:"created"`
	Key       string    `json:"keyFingerprint,omitempty"` // absent when none is recorded
	OS        string    `json:"os"`
	Kernel    string    `json:"kernel"`
	Runtime   string    `json:"runtime"`
	PodRanges []string  `json:"podCIDRs,omitempty"`
	Autonomy  string    `json:"autonomy,omitempty"` // as the Node says it, whether it makes sense or not
	Held      bool      `json:"held,omitempty"`     // rollouts wait there
}

// List prints the nodes of the cluster.
func List(ctx context.Context, env command.Env, flags command.NodeList, _ []string) error {
	connection, err := cluster.Connect(env, flags.Access)
	if err != nil {
		return err
	}
	return list(ctx, connection, flags.Output, env.Out)
}

func list(ctx context.Context, client kubernetes.Interface, form string, out io.Writer) error {
	entries, err := look(ctx, client)
	if err != nil {
		return err
	}
	if form == "json" {
		return cluster.JSON(out, entries)
	}
	head := []string{"NAME", "STATUS", "ROLES", "VERSION", "ADDRESS", "AGE", "KEY"}
	if form == "wide" {
		head = append(head, "EXTERNAL", "PODS", "AUTONOMY", "OS", "KERNEL", "RUNTIME")
	}
	rows := [][]string{head}
	for _, e := range entries {
		row := []string{e.Name, e.Status, strings.Join(e.Roles, ","), e.Version, strings.Join(e.Addresses, ","), cluster.Age(e.Created), short(e.Key)}
		if form == "wide" {
			row[6] = e.Key
			row = append(row, strings.Join(e.External, ","), strings.Join(e.PodRanges, ","), e.Autonomy, e.OS, e.Kernel, e.Runtime)
		}
		rows = append(rows, row)
	}
	return cluster.Table(out, rows...)
}

// short is as much of a fingerprint as tells two keys apart.
func short(fingerprint string) string { return fingerprint[:min(12, len(fingerprint))] }

// look puts together what the cluster knows of its nodes.
func look(ctx context.Context, client kubernetes.Interface) ([]entry, error) {
	found, err := client.CoreV1().Nodes().List(ctx, meta.ListOptions{})
	if err != nil {
		return nil, cluster.Explain(err, "list the nodes")
	}
	keys, err := client.CoreV1().Secrets(meta.NamespaceSystem).List(ctx, meta.ListOptions{FieldSelector: "type=" + nodes.SecretType})
	if err != nil {
		return nil, cluster.Explain(err, "list the keys of the nodes")
	}
	servers, err := cluster.Servers(ctx, client)
	if err != nil {
		return nil, err
	}
	fingerprints := map[string]string{}
	for _, record := range keys.Items {
		fingerprints[record.Name] = string(record.Data["fingerprint"])
	}
	entries := make([]entry, 0, len(found.Items))
	for _, node := range found.Items {
		e := tell(&node, isServer(&node, servers))
		e.Key = fingerprints[nodes.RecordName(node.Name)]
		entries = append(entries, e)
	}
	return entries, nil
}

func tell(node *core.Node, server bool) entry {
	info := node.Status.NodeInfo
	e := entry{
		Name: node.Name, Roles: roles(node, server), Version: info.KubeletVersion, Created: node.CreationTimestamp.Time,
		Addresses: addresses(node, core.NodeInternalIP), External: addresses(node, core.NodeExternalIP), OS: info.OSImage,
		Kernel: info.KernelVersion, Runtime: info.ContainerRuntimeVersion, PodRanges: node.Spec.PodCIDRs,
		Autonomy: said(node, wire.AutonomyKey), Held: said(node, wire.HoldKey) == "true",
	}
	e.Status = "NotReady"
	if isReady(node) {
		e.Status = "Ready"
	}
	if node.Spec.Unschedulable {
		e.Status += ",SchedulingDisabled"
	}
	if e.Held {
		e.Status += ",Held"
	}
	return e
}

// said is the value of an annotation, or of a label when there is no annotation.
func said(node *core.Node, key string) string {
	if value, ok := node.Annotations[key]; ok {
		return value
	}
	return node.Labels[key]
}

func isReady(node *core.Node) bool {
	return slices.ContainsFunc(node.Status.Conditions, func(c core.NodeCondition) bool {
		return c.Type == core.NodeReady && c.Status == core.ConditionTrue
	})
}

// roles are those that labels say, and that of a server.
func roles(node *core.Node, server bool) []string {
	const prefix, control = "node-role.kubernetes.io/", "control-plane"
	found := map[string]bool{}
	for label := range node.Labels {
		if role, ok := strings.CutPrefix(label, prefix); ok && role != "" {
			found[role] = true
		}
	}
	if server {
		found[control] = true
	}
	return append([]string{}, slices.Sorted(maps.Keys(found))...)
}

func addresses(node *core.Node, kind core.NodeAddressType) []string {
	all := []string{}
	for _, a := range node.Status.Addresses {
		if a.Type == kind {
			all = append(all, a.Address)
		}
	}
	return all
}

// isServer says that one of the servers has an address of the node.
func isServer(node *core.Node, servers []string) bool {
	return slices.ContainsFunc(servers, func(server string) bool {
		host, _, err := net.SplitHostPort(server)
		return err == nil && slices.ContainsFunc(node.Status.Addresses, func(a core.NodeAddress) bool { return a.Address == host })
	})
}
