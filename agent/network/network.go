package network

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"

	core "k8s.io/api/core/v1"

	"github.com/skerry-io/skerry/agent/nodewatch"
	"github.com/skerry-io/skerry/internal/certs"
)

// Config is what the pod network needs to know.
type Config struct {
	Kubeconfig string // of the kubelet
	NodeName   string
	NodeIP     netip.Addr // its interface's MTU is that of pods
	PodCIDR    []netip.Prefix
	CNIDir     string // where the configuration goes
	Leases     string // where addresses in use are noted; cleared by a reboot
	Log        *slog.Logger
}

// Run sets up the network of this node's pods, once the cluster has given the node its range, and then waits for the
// end. The configuration stays, as pods do.
func Run(ctx context.Context, c Config, ready func()) error {
	if err := masquerade(ctx, c.PodCIDR); err != nil {
		return err
	}
	if err := warnOfFirewall(ctx, c.PodCIDR, c.Log); err != nil {
		c.Log.Warn("other firewalls on this host could not be looked at", "err", err) // pods may run all the same
	}
	hasRange := func(node *core.Node) bool { return len(node.Spec.PodCIDRs) > 0 }
	node, err := nodewatch.Until(ctx, c.Kubeconfig, c.NodeName, hasRange)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return err
	}
	ranges, err := parse(node.Spec.PodCIDRs)
	if err != nil {
		return err
	}
	text, err := conflist(ranges, mtuOf(c.NodeIP), c.Leases)
	if err != nil {
		return err
	}
	if err := replace(filepath.Join(c.CNIDir, "10-skerry.conflist"), text); err != nil {
		return fmt.Errorf("write the CNI configuration: %w", err)
	}
	ready()
	<-ctx.Done()
	return nil
}

// replace writes the file only when it differs: each write makes containerd load it again.
func replace(path string, text []byte) error {
	have, err := os.ReadFile(path)
	if err == nil && bytes.Equal(have, text) {
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return certs.WriteFile(path, text, 0o600)
}

func parse(texts []string) ([]netip.Prefix, error) {
	var ranges []netip.Prefix
	for _, text := range texts {
		cidr, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("the node's pod range: %w", err)
		}
		ranges = append(ranges, cidr)
	}
	return ranges, nil
}

// mtuOf is the MTU of the interface that has the address, 1500 when none has.
func mtuOf(ip netip.Addr) int {
	links, err := net.Interfaces()
	if err != nil {
		return 1500
	}
	for _, link := range links {
		addrs, _ := link.Addrs()
		for _, addr := range addrs {
			if prefix, err := netip.ParsePrefix(addr.String()); err == nil && prefix.Addr().Unmap() == ip {
				return link.MTU
			}
		}
	}
	return 1500
}
