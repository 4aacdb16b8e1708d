package command

import (
	"fmt"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"github.com/skerry-io/skerry/internal/config"
)

// configCommand looks at the settings without running anything.
func configCommand(env Env) *cli.Command {
	return group(selfGroup, "config", "look at the settings", &cli.Command{
		Name: "check", Usage: "check the settings of a server, or `agent`, and print what is in force and where it came from",
		ArgsUsage:       "[server | agent] [settings]",
		SkipFlagParsing: true, HideHelpCommand: true,
		Action: func(cc *cli.Context) error { return checkSettings(cc, env) },
	})
}

func checkSettings(cc *cli.Context, env Env) error {
	args := cc.Args().Slice()
	if wantsHelp(args) {
		cli.HelpPrinter(env.Out, cli.CommandHelpTemplate, cc.Command)
		return nil
	}
	if len(args) > 0 && args[0] == "agent" {
		return explain[config.Agent](env, args[1:])
	}
	if len(args) > 0 && args[0] == "server" {
		args = args[1:]
	}
	return explain[config.Server](env, args)
}

func explain[T any](env Env, args []string) error {
	_, values, err := config.Explain[T](env.Sources(), args)
	if err != nil {
		return usage{settingsError{err}}
	}
	table := tabwriter.NewWriter(env.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SETTING\tVALUE\tFROM")
	for _, v := range values {
		text := v.Text
		if text == "" {
			text = "-"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", v.Key, text, v.Origin)
	}
	return table.Flush()
}
