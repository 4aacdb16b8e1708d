package command

import (
	"context"

	"github.com/urfave/cli/v2"
)

// SecretsStatus are the flags of `skerry secrets-encrypt status`.
type SecretsStatus struct {
	Access
	Output string `key:"output" short:"o" env:"-" def:"text" oneof:"text,json" as:"format" help:"form of the answer"`
}

// SecretsActions does the work of the commands about how Secrets are stored.
type SecretsActions struct {
	Status func(context.Context, Env, SecretsStatus, []string) error
	Rotate func(context.Context, Env, Access, []string) error
}

func secretsCommands(env Env, do SecretsActions) *cli.Command {
	return group(clusterGroup, "secrets-encrypt", "tell how Secrets are stored, and change their key",
		withWords(env, do.Status, words{}, cli.Command{
			Name: "status", Usage: "tell whether Secrets are encrypted, under which key each is, and whether all servers have the same keys"}),
		withWords(env, do.Rotate, words{}, cli.Command{
			Name: "rotate", Aliases: []string{"rotate-keys"}, Usage: "change the key of Secrets while the cluster runs, or go on with a change that was cut off"}),
	)
}
