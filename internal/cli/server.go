package cli

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"path/filepath"

	"github.com/skerry-io/skerry/agent"
	"github.com/skerry-io/skerry/agent/addresses"
	"github.com/skerry-io/skerry/agent/network"
	"github.com/skerry-io/skerry/internal/config"
	"github.com/skerry-io/skerry/internal/host"
	"github.com/skerry-io/skerry/internal/run"
	"github.com/skerry-io/skerry/server"
)

// runServer is a whole node: the server half, and beside it the agent half unless that is switched off.
func runServer(ctx context.Context, env Env, cfg config.Server) error {
	err := runNode(ctx, env, "server", cfg.Node, func(ctx context.Context, m machine) ([]run.Service, error) {
		if cfg.ClusterReset {
			return nil, resetCluster(ctx, cfg, m)
		}
		return composeServer(ctx, cfg, m)
	})
	var done clusterReset
	if errors.As(err, &done) {
		return nil
	}
	return err
}

// composeServer prepares both halves and puts their tables together.
func composeServer(ctx context.Context, cfg config.Server, m machine) ([]run.Service, error) {
	if err := portsFree(cfg); err != nil {
		return nil, err
	}
	if err := errors.Join(
		m.places(cfg.Paths().ServerDir()),
		m.ledger.Apply(host.Dir{Path: filepath.Dir(cfg.WriteKubeconfig)}),
		m.ledger.Apply(host.File{Path: cfg.WriteKubeconfig}),
	); err != nil {
		return nil, err
	}
	ips, err := m.nodeIPs(cfg.ClusterCIDR)
	if err != nil {
		return nil, err
	}
	for _, change := range network.Guard(cfg.ClusterCIDR, cfg.ServiceCIDR, ips) {
		if err := m.ledger.Apply(change); err != nil {
			return nil, err
		}
	}
	control, err := server.New(ctx, cfg, ips, m.board.Whole, m.log)
	if err != nil {
		return nil, err
	}
	m.board.Kubeconfig(cfg.WriteKubeconfig)
	m.board.Count(control.Traffic)
	m.board.Store(control.Datastore)
	control.Clock(m.clock.Stepped())
	services := control.Services()
	if cfg.DisableAgent {
		return append(services, watchAddresses(cfg, ips, m.log)), nil
	}
	programs, err := programsDir(m.env)
	if err != nil {
		return nil, err
	}
	node, err := agent.New(cfg.Node, agent.Needs{Server: control.URL(), Token: control.Token, IPs: ips, Programs: programs, Ledger: m.ledger, Log: m.log,
		Controllers: control.Controllers(), Stepped: m.clock.Stepped()})
	if err != nil {
		return nil, err
	}
	return append(services, node.Services()...), nil
}

// watchAddresses is what the agent half does where there is one: another address of the machine ends the server, so that it
// starts over with it.
func watchAddresses(cfg config.Server, ips []netip.Addr, log *slog.Logger) run.Service {
	c := addresses.Config{Addresses: ips, Fixed: len(cfg.NodeIP) > 0 || cfg.AdvertiseAddress.IsValid(), Log: log,
		Count: func(found []netip.Addr) []netip.Addr {
			if len(host.ForRanges(ips, cfg.ClusterCIDR)) == 0 {
				return found
			}
			return host.ForRanges(found, cfg.ClusterCIDR)
		}}
	return run.Service{Name: "addresses", Run: func(ctx context.Context, ready func()) error { return addresses.Run(ctx, c, ready) }}
}

// portsFree looks before anything is touched.
func portsFree(cfg config.Server) error {
	if err := host.PortFree(netip.AddrPortFrom(cfg.BindAddress, uint16(cfg.HTTPSListenPort))); err != nil || cfg.DisableAgent {
		return err
	}
	return agent.PortsFree(cfg.Node)
}
