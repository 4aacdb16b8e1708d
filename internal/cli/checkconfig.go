package cli

import (
	"context"

	"github.com/skerry-io/skerry/internal/cli/command"
	"github.com/skerry-io/skerry/internal/config"
	"github.com/skerry-io/skerry/internal/hostcheck"
)

// runCheckConfig prints what this host can do; the exit code says whether it can be a node.
func runCheckConfig(_ context.Context, env Env, cfg config.CheckConfig) error {
	results := hostcheck.Run(hostcheck.Options{DataDir: cfg.Paths().DataDir(), NodeName: cfg.NodeName})
	show := hostcheck.Print
	if cfg.Output == "json" {
		show = hostcheck.PrintJSON
	}
	if err := show(env.Out, results); err != nil {
		return err
	}
	if hostcheck.Failed(results) {
		return command.Quiet(1)
	}
	return nil
}
