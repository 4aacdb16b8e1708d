package command

import (
	"context"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/skerry-io/skerry/internal/config"
	"github.com/skerry-io/skerry/internal/fault"
)

// words is how many words a command takes besides its flags.
type words struct{ least, most int }

// many is no bound.
const many = -1

// withWords makes a command that is about something, such as a node: words that may stand before, between and behind
// its flags, which are those in T and come from nowhere else.
func withWords[T any](env Env, run func(context.Context, Env, T, []string) error, take words, c cli.Command) *cli.Command {
	return wordsFrom(env, run, flagsOnly[T], take, c)
}

// wordsFrom makes such a command whose settings are read by load.
func wordsFrom[T any](env Env, run func(context.Context, Env, T, []string) error, load func(config.Sources, []string) (T, error), take words, c cli.Command) *cli.Command {
	return answering[T](env, c, func(ctx context.Context, called string, args []string) error {
		given, flags := config.Words[T](args)
		cfg, err := load(env.Sources(), flags)
		if err != nil {
			return usage{settingsError{err}}
		}
		switch {
		case len(given) < take.least:
			return usage{fault.New("the command does not say which one").Fix("write `%s %s`", called, c.ArgsUsage)}
		case take.most != many && len(given) > take.most:
			return usage{fault.New("%q is one word too many", given[take.most]).Fix("write `%s`", strings.TrimSpace(called+" "+c.ArgsUsage))}
		}
		return run(ctx, env, cfg, given)
	})
}

// group makes a command that only holds others.
func group(category, name, help string, members ...*cli.Command) *cli.Command {
	for _, m := range members {
		m.HelpName = Program + " " + name + " " + m.Name
	}
	return &cli.Command{
		Name: name, Category: category, Usage: help, HideHelpCommand: true, Subcommands: members,
		Action: func(cc *cli.Context) error {
			if !cc.Args().Present() {
				return cli.ShowSubcommandHelp(cc)
			}
			word := cc.Args().First()
			var names []string
			for _, m := range members {
				names = append(names, m.Name)
			}
			err := fault.New("unknown command %q", name+" "+word)
			if near := config.Nearest(word, names); near != "" {
				return usage{err.Fix("did you mean `%s %s %s`?", Program, name, near)}
			}
			return usage{err.Fix("`%s %s --help` lists them", Program, name)}
		},
	}
}
