package cli

import (
	"context"

	"github.com/skerry-io/skerry/agent"
	"github.com/skerry-io/skerry/internal/config"
	"github.com/skerry-io/skerry/internal/run"
	"github.com/skerry-io/skerry/internal/traffic"
	"github.com/skerry-io/skerry/internal/wire"
)

// runAgent is the agent half alone: a node of a cluster whose servers are elsewhere. A damaged token is found before
// anything is touched; whether it is the right one, only a server can say.
func runAgent(ctx context.Context, env Env, cfg config.Agent) error {
	token, err := wire.ParseToken(cfg.Token.Reveal())
	if err != nil {
		return err
	}
	return runNode(ctx, env, "agent", cfg.Node, func(_ context.Context, m machine) ([]run.Service, error) { return composeAgent(cfg, token, m) })
}

// composeAgent prepares the node and gives its table.
func composeAgent(cfg config.Agent, token wire.Token, m machine) ([]run.Service, error) {
	if err := agent.PortsFree(cfg.Node); err != nil {
		return nil, err
	}
	programs, err := programsDir(m.env)
	if err != nil {
		return nil, err
	}
	if err := m.places(); err != nil {
		return nil, err
	}
	ips, err := m.nodeIPs(nil)
	if err != nil {
		return nil, err
	}
	meter := traffic.NewMeter()
	m.board.Count(meter.Links)
	node, err := agent.New(cfg.Node, agent.Needs{Server: cfg.Server, Token: func() (wire.Token, error) { return token, nil },
		IPs: ips, Programs: programs, Ledger: m.ledger, Log: m.log, Traffic: meter,
		Heard: m.clock.Heard, Stepped: m.clock.Stepped()})
	if err != nil {
		return nil, err
	}
	m.board.Kubeconfig(node.Kubeconfig())
	return node.Services(), nil
}
