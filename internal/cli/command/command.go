package command

import (
	"context"
	"errors"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/skerry-io/skerry/internal/config"
	"github.com/skerry-io/skerry/internal/fault"
)

// Program is the name of the program.
const Program = "skerry"

// Exit codes.
const (
	ExitOK      = 0
	ExitFailure = 1
	// ExitUsage says that starting again with the same command line and settings is of no use.
	ExitUsage = 2
)

// Main runs the command that env.Args names, prints its error, and gives the exit code.
func Main(ctx context.Context, env Env, actions Actions) int {
	app := newApp(env, Table(env, actions))
	err := app.RunContext(ctx, arguments(env))
	if err == nil {
		return ExitOK
	}
	printError(env.Err, err)
	return exitCode(err)
}

func newApp(env Env, table []*cli.Command) *cli.App {
	return &cli.App{
		Name:            Program,
		HelpName:        Program,
		Usage:           "a Kubernetes node that stands on its own",
		Commands:        table,
		Reader:          env.In,
		Writer:          env.Out,
		ErrWriter:       env.Err,
		HideVersion:     true,
		HideHelpCommand: true,
		ExitErrHandler:  func(*cli.Context, error) {}, // only main ends the process
		OnUsageError: func(_ *cli.Context, err error, _ bool) error {
			return usage{fault.New("%v", err).Fix("%s --help lists the commands", Program)}
		},
		Action: noCommand,
	}
}

// noCommand runs when the first word is no command.
func noCommand(c *cli.Context) error {
	if !c.Args().Present() {
		return cli.ShowAppHelp(c)
	}
	word := c.Args().First()
	var names []string
	for _, command := range c.App.Commands {
		names = append(names, command.Name)
	}
	err := fault.New("unknown command %q", word)
	if near := config.Nearest(word, names); near != "" {
		return usage{err.Fix("did you mean `%s %s`?", Program, near)}
	}
	return usage{err.Fix("`%s --help` lists the commands", Program)}
}

// arguments puts the command first that the program's name, --version or help stand for.
func arguments(env Env) []string {
	var rest []string
	if len(env.Args) > 1 {
		rest = env.Args[1:]
	}
	if slices.Contains(toolNames(), env.program()) {
		return append([]string{Program, env.program()}, rest...)
	}
	if len(rest) == 0 {
		return []string{Program}
	}
	switch rest[0] {
	case "--version", "-v", "-version":
		return append([]string{Program, "version"}, rest[1:]...)
	case "help":
		return append(append([]string{Program}, rest[1:]...), "--help")
	}
	return append([]string{Program}, rest...)
}

// toolNames are the programs that Skerry also is, by name or first word.
func toolNames() []string { return []string{"kubectl", "crictl", "ctr"} }

// usage marks an error of the command line or the settings.
type usage struct{ error }

func (u usage) Unwrap() error { return u.error }

// Quiet is the end of a tool that printed its own error: only the exit code is left to hand on.
type Quiet int

// Error says the code; it is never printed.
func (q Quiet) Error() string { return "the tool ended with an error" }

func exitCode(err error) int {
	var quiet Quiet
	if errors.As(err, &quiet) {
		return int(quiet)
	}
	var wrong usage
	if errors.As(err, &wrong) {
		return ExitUsage
	}
	return ExitFailure
}

// untilSignal ends ctx at the first SIGINT or SIGTERM; a second one ends the process the hard way.
func untilSignal(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

// wantsHelp reports whether help is asked for, before a "--".
func wantsHelp(args []string) bool {
	if end := slices.Index(args, "--"); end >= 0 {
		args = args[:end]
	}
	return slices.ContainsFunc(args, func(arg string) bool {
		return strings.HasPrefix(arg, "-") && (strings.TrimLeft(arg, "-") == "help" || arg == "-h")
	})
}
