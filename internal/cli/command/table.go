package command

import (
	"context"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/skerry-io/skerry/internal/config"
)

// Actions does the work of the commands.
type Actions struct {
	Server      func(context.Context, Env, config.Server) error
	Agent       func(context.Context, Env, config.Agent) error
	CheckConfig func(context.Context, Env, config.CheckConfig) error
	Reset       func(context.Context, Env, config.Reset) error
	Install     func(context.Context, Env, config.Install) error
	Uninstall   func(context.Context, Env, config.Uninstall) error
	Status      func(context.Context, Env, config.Status) error
	Images      func(context.Context, Env, config.Images) error
	Cluster     ClusterActions
	Backups     BackupActions
	// The tools take the words after their name.
	Kubectl func(context.Context, Env, []string) error
	Crictl  func(context.Context, Env, []string) error
	Ctr     func(context.Context, Env, []string) error
}

// Groups of commands; the help sorts them by name.
const (
	nodeGroup    = "Node"
	clusterGroup = "Cluster"
	toolGroup    = "Tools"
	hostGroup    = "Host"
	selfGroup    = "Program"
)

// Table lists every command.
func Table(env Env, do Actions) []*cli.Command {
	return slices.Concat(nodeCommands(env, do), clusterCommands(env, do.Cluster), backupCommands(env, do.Backups), []*cli.Command{
		tool(env, do.Kubectl, "kubectl", "control the cluster"),
		tool(env, do.Crictl, "crictl", "look at pods and containers through the runtime"),
		tool(env, do.Ctr, "ctr", "look into the container runtime"),
	}, hostCommands(env, do), []*cli.Command{
		configCommand(env),
		withSettings(env, printVersion, flagsOnly[versionFlags], cli.Command{
			Name: "version", Category: selfGroup, Usage: "print the versions of the program and its parts",
		}),
		completionCommand(env, do),
	})
}

func nodeCommands(env Env, do Actions) []*cli.Command {
	return []*cli.Command{
		withSettings(env, do.Server, config.Load[config.Server], cli.Command{
			Name: "server", Category: nodeGroup, Usage: "run a control plane that is also a node",
		}),
		withSettings(env, do.Agent, config.Load[config.Agent], cli.Command{
			Name: "agent", Category: nodeGroup, Usage: "run a node that joins a server",
		}),
		withSettings(env, do.Status, config.LoadBeside[config.Status], cli.Command{
			Name: "status", Category: nodeGroup, Usage: "tell how the node on this host is: every service, what it waits for, and why",
		}),
		withSettings(env, do.Images, config.LoadBeside[config.Images], cli.Command{
			Name: "images", Category: nodeGroup, Usage: "list the images on this node, and where they come from",
		}),
	}
}

func hostCommands(env Env, do Actions) []*cli.Command {
	return []*cli.Command{
		withSettings(env, do.CheckConfig, config.LoadBeside[config.CheckConfig], cli.Command{
			Name: "check-config", Category: hostGroup, Usage: "tell whether this host can run a node, and what it lacks",
		}),
		withSettings(env, do.Install, config.LoadBeside[config.Install], cli.Command{
			Name: "install", Category: hostGroup, Usage: "make this program a service of the host",
		}),
		withSettings(env, do.Reset, config.LoadBeside[config.Reset], cli.Command{
			Name: "reset", Category: hostGroup, Usage: "stop the pods and undo every change made to the host",
		}),
		withSettings(env, do.Uninstall, config.LoadBeside[config.Uninstall], cli.Command{
			Name: "uninstall", Category: hostGroup, Usage: "reset, then remove the service and the program",
		}),
	}
}

// withSettings makes a command whose flags are the settings in T. The flags are not parsed here but by load, together
// with files and variables, so that all problems come in one list.
func withSettings[T any](env Env, run func(context.Context, Env, T) error, load func(config.Sources, []string) (T, error), c cli.Command) *cli.Command {
	return answering[T](env, c, func(ctx context.Context, _ string, args []string) error {
		cfg, err := load(env.Sources(), args)
		if err != nil {
			return usage{settingsError{err}}
		}
		return run(ctx, env, cfg)
	})
}

// answering makes a command with the flags of T, which answers --help itself and leaves all other words to do, with the
// name that it was called by.
func answering[T any](env Env, c cli.Command, do func(context.Context, string, []string) error) *cli.Command {
	c.Flags = flagsOf(config.Settings[T]())
	c.SkipFlagParsing, c.HideHelpCommand = true, true
	c.Action = func(cc *cli.Context) error {
		args := cc.Args().Slice()
		if wantsHelp(args) {
			cli.HelpPrinter(env.Out, cli.CommandHelpTemplate, cc.Command)
			return nil
		}
		ctx, stop := untilSignal(cc.Context)
		defer stop()
		return do(ctx, cc.Command.HelpName, args)
	}
	return &c
}

// flagsOnly loads settings that come from nowhere but the command line.
func flagsOnly[T any](_ config.Sources, args []string) (T, error) { return config.ParseFlags[T](args) }

// tool makes a command that hands all its words on, --help too.
func tool(env Env, run func(context.Context, Env, []string) error, name, help string) *cli.Command {
	return &cli.Command{
		Name: name, Category: toolGroup, Usage: help,
		SkipFlagParsing: true, HideHelp: true, HideHelpCommand: true,
		Action: func(cc *cli.Context) error { return run(cc.Context, env, cc.Args().Slice()) },
	}
}
