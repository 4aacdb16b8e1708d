package agent

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"time"

	core "k8s.io/api/core/v1"

	"github.com/skerry-io/skerry/agent/addresses"
	"github.com/skerry-io/skerry/agent/containerd"
	"github.com/skerry-io/skerry/agent/externalip"
	"github.com/skerry-io/skerry/agent/images"
	"github.com/skerry-io/skerry/agent/kubelet"
	"github.com/skerry-io/skerry/agent/kubeproxy"
	"github.com/skerry-io/skerry/agent/labels"
	"github.com/skerry-io/skerry/agent/netpol"
	"github.com/skerry-io/skerry/agent/network"
	"github.com/skerry-io/skerry/agent/nodewatch"
	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/host"
	"github.com/skerry-io/skerry/internal/run"
	"github.com/skerry-io/skerry/internal/wire"
)

// Services is the table of what a node runs.
func (n *Node) Services() []run.Service {
	wiring := &run.Trouble{Name: "pods' network"}
	table := []run.Service{
		{Name: "identity", Run: n.id.Run},
		{Name: "endpoint", Needs: []string{"identity"}, Run: n.api, Details: n.told.api.Details},
		{Name: "servers", Needs: []string{"endpoint"}, Run: n.servers.Run, Again: run.Backoff{Min: time.Second, Max: time.Minute}},
		{Name: "addresses", Run: n.addresses}, // its end is meant to end the node
		{Name: "tunnel", Needs: []string{"identity"}, Run: n.tunnel},
		{Name: "guard", Needs: []string{"identity"}, Run: n.guard},
		{Name: "network", Needs: []string{"endpoint", "guard"}, Again: run.Backoff{Min: time.Second, Max: time.Minute},
			Run: func(ctx context.Context, ready func()) error { return n.network(ctx, wiring.Set, ready) }, Details: wiring.Details},
		{Name: "kubelet", Needs: []string{"endpoint", "guard", "images"}, Run: n.kubelet},
		{Name: "labels", Needs: []string{"kubelet"}, Run: n.labels, Again: run.Backoff{Min: time.Second, Max: time.Minute}},
		{Name: "node", Needs: []string{"kubelet", "network"}, Run: n.settle, Again: run.Backoff{Min: time.Second, Max: time.Minute}},
		{Name: "volumes", Needs: []string{"endpoint"}, Run: n.volumes, Again: run.Backoff{Min: time.Second, Max: time.Minute}, Details: n.told.volumes.Details},
		{Name: "dns", Needs: []string{"endpoint", "guard"}, Run: n.dns, Again: run.Backoff{Min: time.Second, Max: time.Minute}, Details: n.told.dns.Details},
		{Name: "kube-proxy", Needs: []string{"endpoint", "guard"}, Run: n.kubeproxy},
		{Name: "network-policy", Needs: []string{"endpoint"}, Run: n.netpol, Again: run.Backoff{Min: time.Second, Max: time.Minute}, Details: n.told.netpol.Details},
		{Name: "announcer", Needs: []string{"endpoint"}, Run: n.servicelb, Again: run.Backoff{Min: time.Second, Max: time.Minute}, Details: n.told.announcer.Details},
	}
	if n.rights != nil {
		table = append(table, run.Service{Name: "pod-rights", Needs: []string{"endpoint"}, Run: n.rights.Run, Again: run.Backoff{Min: time.Second, Max: time.Minute}})
	}
	if len(n.config.NodeExternalIP) > 0 {
		table = append(table, run.Service{Name: "externalip", Needs: []string{"kubelet"}, Run: n.externalIP, Again: run.Backoff{Min: time.Second, Max: time.Minute}})
	}
	return append(table, n.runtime()...)
}

// guard keeps the traffic of pods and Services off the uplink before anything sends some. Which addresses are theirs is
// only known from the server.
func (n *Node) guard(ctx context.Context, ready func()) error {
	cluster := n.cluster()
	ips := n.counting(n.ips)
	for _, cidr := range slices.Concat(cluster.ClusterCIDR, cluster.ServiceCIDR) {
		if i := slices.IndexFunc(ips, cidr.Contains); i >= 0 {
			return fault.New("this node's address %s lies in %s, which the cluster uses for pods or Services", ips[i], cidr).
				Fix("give the node another address, name another of its addresses with node-ip, or make the cluster with other ranges")
		}
	}
	for _, change := range network.Guard(cluster.ClusterCIDR, cluster.ServiceCIDR, ips) {
		if err := n.ledger.Apply(change); err != nil {
			return fmt.Errorf("guard the cluster's addresses: %w", err)
		}
	}
	return idle(ctx, ready)
}

// cluster is what the cluster has in common, once the node has joined; counting goes by it from then on.
func (n *Node) cluster() wire.Cluster {
	cluster := n.id.Cluster()
	n.ranges.Store(&cluster.ClusterCIDR)
	return cluster
}

// addresses ends when the machine got another address; the program then starts over.
func (n *Node) addresses(ctx context.Context, ready func()) error {
	return addresses.Run(ctx, addresses.Config{Addresses: n.ips, Fixed: len(n.config.NodeIP) > 0, Count: n.counting, Log: n.log}, ready)
}

// counting are those of a list of this machine's addresses that the node has in its cluster, as far as that is known. When
// it was started with none of the cluster's families, all are.
func (n *Node) counting(ips []netip.Addr) []netip.Addr {
	ranges := n.ranges.Load()
	if ranges == nil || len(n.config.NodeIP) > 0 || len(host.ForRanges(n.ips, *ranges)) == 0 {
		return ips
	}
	return host.ForRanges(ips, *ranges)
}

func (n *Node) network(ctx context.Context, trouble func(error), ready func()) error {
	cluster := n.id.Cluster()
	c := network.Config{
		Backend:    cluster.Backend,
		Kubeconfig: n.id.KubeletConfig(),
		Watcher:    n.id.KubeProxyConfig(),
		NodeName:   n.id.Name(),
		NodeIPs:    n.counting(n.ips),
		Iface:      n.config.FlannelIface,
		PodCIDR:    cluster.ClusterCIDR,
		CNIDir:     n.cniDir(),
		Leases:     n.leases(),
		KeyFile:    filepath.Join(n.paths.AgentDir(), "wireguard.key"),
		Memory:     filepath.Join(n.paths.AgentDir(), "peers.json"),
		Apply:      n.ledger.Apply,
		Trouble:    trouble,
		Log:        n.log,
	}
	if n.policed() {
		c.Asks = netpol.Socket(n.netpolDir())
	}
	if cluster.ExternalIP {
		c.ExternalIP = n.config.NodeExternalIP
	}
	return network.Run(ctx, c, ready)
}

func (n *Node) kubelet(ctx context.Context, ready func()) error {
	labels, err := parseLabels(n.config.NodeLabel)
	if err != nil {
		return err
	}
	taints, err := parseTaints(n.config.NodeTaint)
	if err != nil {
		return err
	}
	resolv, err := n.resolvConf()
	if err != nil {
		return err
	}
	cluster := n.id.Cluster()
	return kubelet.Run(ctx, kubelet.Config{
		Root:          n.paths.KubeletRoot(),
		Kubeconfig:    n.id.KubeletConfig(),
		Runtime:       n.config.RuntimeEndpoint(),
		StaticPods:    n.paths.PodManifestsDir(),
		ServingCert:   n.id.ServingCertFile(),
		ServingKey:    n.id.KeyFile(),
		ClientCA:      n.id.ClientCAFile(),
		ResolvConf:    resolv,
		NodeName:      n.id.Name(),
		NodeIPs:       n.counting(n.ips),
		Labels:        labels,
		Taints:        taints,
		ProviderID:    wire.ProviderPrefix + n.id.Name(),
		KeepAddresses: len(n.config.NodeExternalIP) > 0,
		ClusterDNS:    cluster.ClusterDNS,
		ClusterDomain: cluster.ClusterDomain,
		SystemdCgroup: n.host.systemdCgroup,
		Shutdown:      n.host.logind,
		KeepOOMScore:  n.host.keepOOMScore,
		ProtectKernel: n.config.ProtectKernelDefaults,
		Extra:         n.config.KubeletArg,
		Controllers:   n.controllers,
	}, ready)
}

// labels has the labels and taints of the settings set on a Node that the kubelet registered long ago.
func (n *Node) labels(ctx context.Context, ready func()) error {
	given, err := parseLabels(n.config.NodeLabel)
	if err != nil {
		return err
	}
	taints, err := parseTaints(n.config.NodeTaint)
	if err != nil {
		return err
	}
	return labels.Run(ctx, labels.Config{Kubeconfig: n.id.KubeletConfig(), NodeName: n.id.Name(), Labels: given, Taints: taints}, ready)
}

// externalIP shows the addresses of the settings on the Node.
func (n *Node) externalIP(ctx context.Context, ready func()) error {
	return externalip.Run(ctx, externalip.Config{Kubeconfig: n.id.KubeletConfig(), NodeName: n.id.Name(), Internal: n.counting(n.ips), External: n.config.NodeExternalIP}, ready)
}

// settle is ready when the cluster says that pods can run here.
func (n *Node) settle(ctx context.Context, ready func()) error {
	began := time.Now().Truncate(time.Second)
	_, err := nodewatch.Until(ctx, n.id.KubeletConfig(), n.id.Name(), func(node *core.Node) bool { return isReady(node, began) })
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return err
	}
	return idle(ctx, ready)
}

// isReady says that the kubelet of this run, not of an earlier one, called the node Ready.
func isReady(node *core.Node, since time.Time) bool {
	for _, c := range node.Status.Conditions {
		if c.Type == core.NodeReady {
			return c.Status == core.ConditionTrue && !c.LastHeartbeatTime.Time.Before(since)
		}
	}
	return false
}

func (n *Node) kubeproxy(ctx context.Context, ready func()) error {
	cluster := n.id.Cluster()
	if cluster.KubeProxyOff {
		return idle(ctx, ready)
	}
	return kubeproxy.Run(ctx, kubeproxy.Config{
		Kubeconfig:    n.id.KubeProxyConfig(),
		NodeName:      n.id.Name(),
		PodCIDR:       cluster.ClusterCIDR,
		KeepOOMScore:  n.host.keepOOMScore,
		KeepConntrack: n.host.keepConntrack,
		Extra:         n.config.KubeProxyArg,
	}, ready)
}

// runtime is what runs containers: ours, or nothing when the user named another one.
func (n *Node) runtime() []run.Service {
	if n.config.ContainerRuntimeEndpoint != "" {
		return []run.Service{{Name: "images", Run: idle}}
	}
	certs := filepath.Join(n.paths.AgentEtcDir(), "certs.d")
	daemon := containerd.New(containerd.Config{
		Root:           n.paths.ContainerdRoot(),
		State:          n.paths.ContainerdState(),
		Socket:         n.paths.ContainerdSocket(),
		Programs:       n.programs,
		CNIConfig:      n.cniDir(),
		RegistryConfig: certs,
		Credentials:    n.registries.Credentials(),
		Snapshotter:    n.config.Snapshotter,
		PauseImage:     n.config.PauseImage,
		DefaultRuntime: n.config.DefaultRuntime,
		Runtimes:       containerd.FindRuntimes(),
		SystemdCgroup:  n.host.systemdCgroup,
		KeepOOMScore:   n.host.keepOOMScore,
	})
	importer := images.New(images.Config{
		Socket:      n.paths.ContainerdSocket(),
		Dir:         n.paths.ImagesDir(),
		StateFile:   n.paths.ImportedFile(),
		Snapshotter: n.config.Snapshotter,
		Builtin:     n.builtin(),
		Log:         n.log,
	})
	return []run.Service{
		{Name: "containerd", Run: func(ctx context.Context, ready func()) error {
			if err := n.registries.Write(certs); err != nil {
				return err
			}
			return daemon.Run(ctx, ready)
		}},
		{Name: "images", Needs: []string{"containerd"}, Run: importer.Run, Again: run.Backoff{Min: time.Second, Max: time.Minute},
			Details: archiveDetails(importer)},
	}
}

// builtin are the images that need no archive: they are made of programs beside this one.
func (n *Node) builtin() []images.Builtin {
	return []images.Builtin{
		{Name: "localhost/skerry/pause:1", Binary: filepath.Join(n.programs, "pause"), Entrypoint: []string{"/pause"}, User: "65535:65535"},
		{Name: "localhost/skerry/demo:1", Binary: filepath.Join(n.programs, "demo"), Entrypoint: []string{"/demo"}, User: "65534:65534", Ports: []string{"8080/tcp"}},
	}
}

// idle is a service that is ready and does nothing.
func idle(ctx context.Context, ready func()) error {
	ready()
	<-ctx.Done()
	return nil
}
