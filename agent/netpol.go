package agent

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/skerry-io/skerry/agent/netpol"
	"github.com/skerry-io/skerry/agent/network"
	"github.com/skerry-io/skerry/agent/network/overlay"
	"github.com/skerry-io/skerry/internal/run"
	"github.com/skerry-io/skerry/internal/wire"
)

// netpol makes NetworkPolicies true for the pods of this node, or takes away what an earlier start has left. With a network
// that the user brings, policies are that network's.
func (n *Node) netpol(ctx context.Context, ready func()) error {
	cluster := n.id.Cluster()
	c := netpol.Config{
		Node:   n.id.Name(),
		Pods:   cluster.ClusterCIDR,
		Bridge: network.Bridge,
		Dir:    n.netpolDir(),
		Leases: filepath.Join(n.leases(), network.Name),
		Marker: filepath.Join(n.paths.AgentDir(), "network-policies"),
		Stands: netpol.Stands(n.ledger.Entries()),
		Apply:  n.ledger.Apply,
		Rows:   &n.told.netpol,
		Log:    n.log,
	}
	if !n.policed() {
		if !cluster.Without(wire.ComponentNetworkPolicy) {
			n.told.netpol.Set(run.Detail{Name: "rules", State: "left to your network"})
		}
		if err := netpol.Leave(ctx, c); err != nil {
			return err
		}
		return idle(ctx, ready)
	}
	var err error
	if c.API, err = clientcmd.BuildConfigFromFlags("", n.id.KubeletConfig()); err != nil {
		return fmt.Errorf("read the kubelet's kubeconfig: %w", err)
	}
	c.API.ContentType = "application/vnd.kubernetes.protobuf"
	off := make(chan struct{})
	c.Off = off
	ctx, stop := context.WithCancel(ctx)
	var wait sync.WaitGroup
	defer wait.Wait()
	defer stop()
	wait.Go(func() {
		select {
		case <-ctx.Done():
		case <-n.id.Changed():
			if n.id.Told().Without(wire.ComponentNetworkPolicy) {
				close(off)
			}
		}
	})
	return netpol.Run(ctx, c, ready)
}

// policed says that this node makes NetworkPolicies true.
func (n *Node) policed() bool {
	cluster := n.id.Cluster()
	return cluster.Backend != overlay.None && !cluster.Without(wire.ComponentNetworkPolicy)
}

// netpolDir is cleared by a reboot.
func (n *Node) netpolDir() string { return filepath.Join(n.paths.ContainerdState(), "netpol") }

// leases is where addresses of pods in use are noted; cleared by a reboot.
func (n *Node) leases() string { return filepath.Join(n.paths.ContainerdState(), "leases") }
