package network

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/skerry-io/skerry/agent/network/members"
	"github.com/skerry-io/skerry/agent/network/overlay"
	"github.com/skerry-io/skerry/internal/durable"
	"github.com/skerry-io/skerry/internal/host"
)

// Config is what the pod network needs to know.
type Config struct {
	Backend    string // how nodes reach each other's pods
	Kubeconfig string // of the kubelet, which may annotate the Node
	Watcher    string // kubeconfig that may watch all Nodes
	NodeName   string
	NodeIPs    []netip.Addr
	ExternalIP []netip.Addr // by which the other nodes reach this one, where that differs from NodeIPs
	Iface      string       // the interface towards other nodes; empty for that of NodeIPs
	PodCIDR    []netip.Prefix
	CNIDir     string // where the configuration goes
	Leases     string // where addresses in use are noted; cleared by a reboot
	Asks       string // socket that is asked before a pod gets an address; empty: none
	KeyFile    string // of WireGuard
	Memory     string // file in which the other nodes are remembered
	Apply      func(host.Change) error
	Trouble    func(error) // is told what keeps packets from flowing, and with nil that nothing does
	Log        *slog.Logger
}

// conflistName is the file of the CNI configuration.
const conflistName = "10-skerry.conflist"

// Run connects this node's pods to each other and to those of other nodes until ctx ends. The configuration stays, and
// what the kernel does with it, as pods do.
func Run(ctx context.Context, c Config, ready func()) error {
	if c.Backend == overlay.None {
		return leave(ctx, c, ready)
	}
	if err := masquerade(ctx, c.PodCIDR); err != nil {
		return err
	}
	if err := warnOfFirewall(ctx, c.PodCIDR, c.Backend, c.Log); err != nil {
		c.Log.Warn("other firewalls on this host could not be looked at", "err", err) // pods may run all the same
	}
	backend, err := overlay.Open(overlay.Config{Kind: c.Backend, Node: c.NodeName, Cluster: c.PodCIDR, Iface: c.Iface, Addrs: c.NodeIPs,
		Announced: c.ExternalIP, KeyFile: c.KeyFile, Apply: c.Apply, Log: c.Log})
	if err != nil {
		return err
	}
	changed := make(chan struct{}, 1)
	wake := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	nodes, err := members.Watch(members.Config{Reader: c.Watcher, Writer: c.Kubeconfig, Node: c.NodeName, Cluster: c.PodCIDR, Changed: wake})
	if err != nil {
		return err
	}
	before, err := recall(c.Memory)
	if err != nil {
		c.Log.Warn("the other nodes are not remembered; the cluster will tell of them again", "err", err)
	}
	n := &network{config: c, backend: backend, nodes: nodes, memory: before, ready: sync.OnceFunc(ready)}
	return errors.Join(n.run(ctx, changed, wake), backend.Close())
}

// leave is for a user who brings a CNI plugin: what an earlier setting made goes, and nothing is made.
func leave(ctx context.Context, c Config, ready func()) error {
	for _, ours := range []string{filepath.Join(c.CNIDir, conflistName), c.Memory} {
		if err := os.Remove(ours); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove what another backend has left: %w", err)
		}
	}
	if err := errors.Join(os.MkdirAll(c.CNIDir, 0o755), overlay.Close(), masquerade(ctx, nil)); err != nil {
		return err
	}
	ready()
	<-ctx.Done()
	return nil
}

// nodes is the list of nodes, see members.List.
type nodes interface {
	Run(ctx context.Context)
	Own() []netip.Prefix
	Peers(backend string) ([]overlay.Peer, bool)
	Announce(ctx context.Context, a overlay.Announcement) error
}

// network keeps the kernel like the list of nodes.
type network struct {
	config  Config
	backend overlay.Backend
	nodes   nodes
	memory  *memory
	ready   func()
	wired   bool   // pods of this node can get their network
	trouble string // what was told last
}

// How long after trouble, which no event may end, another try is made, and how long after the start the node goes by its
// memory when no server has told anything.
const (
	soon   = time.Second
	late   = time.Minute
	silent = 3 * time.Second
)

// run makes one step for each change that nodes or the kernel tell of.
func (n *network) run(ctx context.Context, changed <-chan struct{}, wake func()) error {
	ctx, stop := context.WithCancel(ctx)
	var wait sync.WaitGroup
	defer wait.Wait()
	defer stop()
	lost := make(chan error, 1)
	wait.Go(func() { n.nodes.Run(ctx) })
	wait.Go(func() { lost <- overlay.Watch(ctx, wake) })

	pause := soon
	again := time.After(silent)
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-lost:
			return err // the service starts over
		case <-changed:
		case <-again:
		}
		again = nil
		if err := n.step(ctx); n.tell(ctx, err) {
			again = time.After(pause)
			pause = min(2*pause, late)
		} else {
			pause = soon
		}
	}
}

// tell logs trouble, once while it is the same, and says whether there is any.
func (n *network) tell(ctx context.Context, err error) bool {
	if err == nil || ctx.Err() != nil {
		n.trouble = ""
		n.config.Trouble(nil)
		return false
	}
	if !errors.Is(err, errUnseen) {
		n.config.Trouble(err)
	}
	if text := err.Error(); text != n.trouble && !errors.Is(err, errUnseen) {
		n.trouble = text
		what := "pods of other nodes may be out of reach"
		if !n.wired {
			what = "pods cannot get their network, so this node is not Ready"
		}
		n.config.Log.Warn(what+"; trying on", "err", err)
	}
	return true
}

// step makes everything as it should be now. Pods of this node do not wait for the others.
func (n *network) step(ctx context.Context) error {
	own := n.nodes.Own()
	if _, known := n.nodes.Peers(""); len(own) == 0 && !known {
		own = n.memory.Own
	}
	if len(own) == 0 {
		return nil // the cluster has not given this node a range yet
	}
	if err := n.backend.Up(own); err != nil {
		return err
	}
	if err := clearBridge(own); err != nil {
		return err
	}
	text, err := conflist(own, n.backend.MTU(), n.config.Leases, n.config.Asks)
	if err != nil {
		return err
	}
	if err := replace(filepath.Join(n.config.CNIDir, conflistName), text); err != nil {
		return fmt.Errorf("write the CNI configuration: %w", err)
	}
	n.wired = true
	n.ready()
	told, err := n.backend.Announcement()
	if err != nil {
		return err
	}
	err = n.nodes.Announce(ctx, told)
	peers, known := n.nodes.Peers(told.Type)
	if known {
		return errors.Join(err, n.backend.Sync(peers), n.memory.keep(seen{own, told.Type, peers}))
	}
	if peers = n.memory.peers(told.Type); len(peers) > 0 {
		err = errors.Join(err, n.backend.Sync(peers))
	}
	return errors.Join(err, errUnseen)
}

// errUnseen is no trouble, but needs another try.
var errUnseen = errors.New("the list of nodes was not seen as a whole yet")

// replace writes the file only when it differs: each write makes containerd load it again.
func replace(path string, text []byte) error {
	have, err := os.ReadFile(path)
	if err == nil && bytes.Equal(have, text) {
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return durable.WriteFile(path, text, 0o600)
}
