package agent

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"sync"

	"github.com/skerry-io/skerry/agent/apicache"
	"github.com/skerry-io/skerry/agent/endpoint"
	"github.com/skerry-io/skerry/agent/heartbeat"
	"github.com/skerry-io/skerry/agent/kubelet"
	"github.com/skerry-io/skerry/internal/certs"
	"github.com/skerry-io/skerry/internal/durable"
)

// api is the API as this node's components see it. An agent also answers from what servers said last; beside a server there
// always is one.
func (n *Node) api(ctx context.Context, ready func()) error {
	c := endpoint.Config{Address: n.endpoint(), Servers: n.servers, Rows: &n.told.api, Back: n.back, Traffic: n.traffic, Counts: n.id.Counts}
	c.Shorten = func(servers endpoint.Upstream) http.RoundTripper {
		return heartbeat.Around(heartbeat.Config{Node: n.id.Name(), Caller: endpoint.Caller, Line: &n.line}, servers)
	}
	if n.controllers != nil {
		return endpoint.New(c, n.id, n.log).Run(ctx, ready)
	}
	cache, err := n.cache()
	if err != nil {
		return err
	}
	var writing sync.WaitGroup
	defer writing.Wait()
	until, stop := context.WithCancel(context.WithoutCancel(ctx)) // it ends after those who ask it
	defer stop()
	writing.Go(func() { cache.Run(until) })
	c.Offline = offline{cache}
	c.Pods = endpoint.Pods{At: n.podDoor(), From: n.cluster().ClusterCIDR, Certificate: n.id.Local}
	return endpoint.New(c, n.id, n.log).Run(ctx, ready)
}

// back hurries what waits for a server: one is in reach again.
func (n *Node) back() {
	n.line.hurry()
	if n.rights != nil {
		n.rights.Hurry()
	}
}

// cache opens what this node remembers of the API.
func (n *Node) cache() (*apicache.Cache, error) {
	key, err := certs.LoadKey(n.id.KeyFile())
	if err != nil {
		return nil, err
	}
	// A reboot takes this file away, and with it the addresses of pods.
	mark := filepath.Join(n.paths.ContainerdState(), "running")
	rebooted := !exists(mark)
	if rebooted {
		if err := os.MkdirAll(filepath.Dir(mark), 0o711); err != nil {
			return nil, fmt.Errorf("note that the machine was started: %w", err)
		}
		if err := durable.WriteFile(mark, nil, 0o600); err != nil {
			return nil, fmt.Errorf("note that the machine was started: %w", err)
		}
	}
	return apicache.Open(apicache.Config{
		Dir:      filepath.Join(n.paths.AgentDir(), "cache"),
		Key:      key,
		Node:     n.id.Name(),
		Caller:   endpoint.Caller,
		Rebooted: rebooted,
		Refers:   kubelet.Refers,
		Rights:   n.rights,
		Door:     apicache.Door{At: n.podDoor(), Authority: n.id.Authority()},
		Rows:     &n.told.api,
		Log:      n.log,
	}), nil
}

// podDoor is where pods are answered while no server is in reach: the port of the endpoint, at the addresses that they can come to.
func (n *Node) podDoor() []netip.AddrPort {
	n.cluster()
	var at []netip.AddrPort
	for _, ip := range n.counting(n.ips) {
		at = append(at, netip.AddrPortFrom(ip, uint16(n.config.LBServerPort)))
	}
	return at
}

// offline is a cache as the endpoint asks it.
type offline struct{ *apicache.Cache }

// Around is the cache's.
func (o offline) Around(servers endpoint.Reach) http.RoundTripper { return o.Cache.Around(servers) }
