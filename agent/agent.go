package agent

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/skerry-io/skerry/agent/identity"
	"github.com/skerry-io/skerry/agent/kubelet"
	"github.com/skerry-io/skerry/agent/network"
	"github.com/skerry-io/skerry/agent/podrights"
	"github.com/skerry-io/skerry/agent/registries"
	"github.com/skerry-io/skerry/agent/servers"
	"github.com/skerry-io/skerry/internal/config"
	"github.com/skerry-io/skerry/internal/host"
	"github.com/skerry-io/skerry/internal/traffic"
	"github.com/skerry-io/skerry/internal/wire"
)

// Node is a node that is ready to run.
type Node struct {
	config   config.Node
	paths    config.Paths
	ips      []netip.Addr                   // of this machine; see counting
	ranges   atomic.Pointer[[]netip.Prefix] // of the cluster's pods; nil until the node knows them
	programs string                         // directory of helper programs
	id       *identity.Node
	servers  *servers.Servers
	rights   *podrights.Rights // of the node's pods while no server is in reach; nil beside a server
	host     facts
	ledger   *host.Ledger

	registries  registries.Config
	told        told
	traffic     *traffic.Meter
	line        line
	controllers <-chan struct{} // closes when controllers in this process are built; nil without them
	log         *slog.Logger
}

// Needs is what a node must be told besides its settings.
type Needs struct {
	Server   string                     // URL of a server
	Token    func() (wire.Token, error) // asked at the first contact
	IPs      []netip.Addr               // addresses of this machine
	Programs string                     // directory of the helper programs: shim, runc, CNI plugins
	Ledger   *host.Ledger
	Log      *slog.Logger
	Traffic  *traffic.Meter  // counts what goes to servers on other machines; nil for nobody
	Heard    func(time.Time) // is told the time of the cluster's servers; nil for nobody
	Stepped  <-chan struct{} // gets an entry when this machine's clock was set; nil for never
	// Controllers closes when Kubernetes' controllers are built, where they run in the same process.
	Controllers <-chan struct{}
}

// New looks at the host and writes into the ledger what the node is going to do to it.
func New(c config.Node, n Needs) (*Node, error) {
	node := &Node{config: c, paths: c.Paths(), ips: n.IPs, programs: n.Programs, ledger: n.Ledger, log: n.Log,
		traffic: n.Traffic, controllers: n.Controllers}
	err := kubelet.PlainLists()
	if err != nil {
		return nil, err
	}
	if node.host, err = look(n.Log); err != nil {
		return nil, err
	}
	if node.registries, err = registries.Load(c.PrivateRegistry); err != nil {
		return nil, err
	}
	if err := node.announce(n.Ledger); err != nil {
		return nil, err
	}
	node.id = identity.New(identity.Config{
		Dir:       node.paths.AgentDir(),
		Server:    n.Server,
		Endpoint:  "https://" + node.endpoint(),
		Name:      c.NodeName,
		Addresses: n.IPs,
		Token:     n.Token,
		Others:    func() []string { return node.servers.URLs() },
		Heard:     n.Heard,
		Stepped:   n.Stepped,
		Beside:    n.Controllers != nil,
	}, n.Log)
	node.servers = servers.Open(servers.Config{
		File:       filepath.Join(node.paths.AgentDir(), "servers.json"),
		Configured: n.Server,
		Own:        n.IPs,
		Node:       c.NodeName,
		Kubeconfig: node.id.KubeProxyConfig(),
	}, n.Log)
	if n.Controllers == nil {
		node.rights = podrights.Open(podrights.Config{File: filepath.Join(node.paths.AgentDir(), "pod-rights"), Kubeconfig: node.id.KubeletConfig(), Log: n.Log})
	}
	return node, nil
}

// endpoint is the address of the node's own API endpoint.
func (n *Node) endpoint() string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(n.config.LBServerPort))
}

// announce puts all that the embedded components will do into the ledger, before they do it.
func (n *Node) announce(ledger *host.Ledger) error {
	changes := host.Footprint(host.Layout{
		Programs:        n.programs,
		KubeletRoot:     n.paths.KubeletRoot(),
		ContainerdRoot:  n.paths.ContainerdRoot(),
		ContainerdState: n.paths.ContainerdState(),
		Bridge:          network.Bridge,
		PodCgroup:       "/kubepods",
	})
	if !n.config.ProtectKernelDefaults {
		changes = append(changes, kubeletTunables()...)
	}
	if n.host.logind {
		const dropIns = "/etc/systemd/logind.conf.d"
		changes = append(changes, host.Dir{Path: dropIns}, host.File{Path: dropIns + "/99-kubelet.conf"})
	}
	for _, change := range changes {
		if err := ledger.Apply(change); err != nil {
			return fmt.Errorf("prepare the host: %w", err)
		}
	}
	if err := raiseInotify(ledger); err != nil {
		return err
	}
	// The directories that users drop files into are there from the start.
	return errors.Join(os.MkdirAll(n.paths.ImagesDir(), 0o755), os.MkdirAll(n.paths.PodManifestsDir(), 0o755))
}

// Kubeconfig is a file, once the node has joined, by which its own Node can be read.
func (n *Node) Kubeconfig() string { return n.id.KubeletConfig() }

func (n *Node) cniDir() string { return filepath.Join(n.paths.AgentEtcDir(), "cni", "net.d") }
