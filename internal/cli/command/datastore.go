package command

import (
	"context"

	"github.com/urfave/cli/v2"
)

// DatastoreStatus are the flags of `skerry datastore status`.
type DatastoreStatus struct {
	Endurance string `key:"card-endurance" env:"-" as:"bytes" help:"how much the card or disk may be written by its data sheet, for example 30TBW: then its days of life are told"`
	Output    string `key:"output" short:"o" env:"-" def:"text" oneof:"text,json" as:"format" help:"form of the answer"`
}

// DatastoreActions does the work of the commands about the datastore.
type DatastoreActions struct {
	Status func(context.Context, Env, DatastoreStatus, []string) error
	Remove func(context.Context, Env, Access, []string) error
}

func datastoreCommands(env Env, do DatastoreActions) *cli.Command {
	return group(clusterGroup, "datastore", "look at where the cluster is kept",
		withWords(env, do.Status, words{}, cli.Command{
			Name: "status", Usage: "tell engine, size, revisions, what is written to the disk, the last snapshot and backup of the server on this host"}),
		withWords(env, do.Remove, words{1, 1}, cli.Command{
			Name: "remove", ArgsUsage: "SERVER", Usage: "take the part of a server that is gone for good, and has no node, out of the datastore of several servers"}),
	)
}
