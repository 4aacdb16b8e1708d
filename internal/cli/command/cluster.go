package command

import (
	"context"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/skerry-io/skerry/internal/config"
)

// Access is how a command reaches the cluster.
type Access struct {
	Kubeconfig string `key:"kubeconfig" env:"-" as:"path" help:"kubeconfig to use (default: the one in KUBECONFIG, then that of the server on this host)"`
}

// TokenCreate are the flags of `skerry token create`.
type TokenCreate struct {
	Access
	TTL         time.Duration `key:"ttl" env:"-" def:"24h" as:"time" help:"how long nodes can join with it, for example 2h; 0 is for ever"`
	Description string        `key:"description" env:"-" as:"text" help:"what it is for"`
	JoinCommand bool          `key:"print-join-command" env:"-" help:"print the whole command that joins a node"`
}

// TokenList are the flags of `skerry token list`.
type TokenList struct {
	Access
	Output string `key:"output" short:"o" env:"-" def:"text" oneof:"text,json" as:"format" help:"form of the answer"`
}

// TokenRotate are the flags of `skerry token rotate`.
type TokenRotate struct {
	Access
	Token    config.Secret `key:"token" short:"t" env:"-" as:"token" help:"the token to replace: nothing is changed when another cluster made it"`
	NewToken config.Secret `key:"new-token" env:"-" as:"token" help:"the token that takes its place (default: a random one)"`
}

// NodeList are the flags of `skerry node list`.
type NodeList struct {
	Access
	Output string `key:"output" short:"o" env:"-" def:"text" oneof:"text,wide,json" as:"format" help:"form of the answer"`
}

// NodeReplace are the flags of `skerry node replace`.
type NodeReplace struct {
	Access
	Yes bool `key:"yes" short:"y" env:"-" help:"do not ask"`
}

// NodeRemove are the flags of `skerry node drain-and-remove`.
type NodeRemove struct {
	Access
	Timeout  time.Duration `key:"timeout" env:"-" def:"5m" as:"time" help:"how long pods may take to leave; 0 is for ever"`
	Force    bool          `key:"force" env:"-" help:"end pods too that nothing starts again elsewhere"`
	EmptyDir bool          `key:"delete-emptydir-data" env:"-" help:"end pods too that have data in an emptyDir, which is lost"`
}

// UserCreate are the flags of `skerry kubeconfig create`.
type UserCreate struct {
	Access
	Group  []string      `key:"group" short:"g" env:"-" as:"group" help:"groups of the user, which role bindings can name"`
	TTL    time.Duration `key:"ttl" env:"-" def:"8760h" as:"time" help:"how long the certificate is good, at least 10m"`
	Server string        `key:"server" short:"s" env:"-" as:"URL" help:"server in the kubeconfig (default: that of the kubeconfig in use)"`
	Output string        `key:"output" short:"o" env:"-" as:"path" help:"file to write (default: standard output)"`
}

// ClusterActions does the work of the commands that ask the API server. The last argument is the words after the command.
type ClusterActions struct {
	TokenCreate   func(context.Context, Env, TokenCreate, []string) error
	TokenList     func(context.Context, Env, TokenList, []string) error
	TokenDelete   func(context.Context, Env, Access, []string) error
	TokenRotate   func(context.Context, Env, TokenRotate, []string) error
	TokenGenerate func(context.Context, Env, struct{}, []string) error
	NodeList      func(context.Context, Env, NodeList, []string) error
	NodeReplace   func(context.Context, Env, NodeReplace, []string) error
	NodeRemove    func(context.Context, Env, NodeRemove, []string) error
	UserCreate    func(context.Context, Env, UserCreate, []string) error
	Secrets       SecretsActions
	Datastore     DatastoreActions
}

func clusterCommands(env Env, do ClusterActions) []*cli.Command {
	return []*cli.Command{
		group(clusterGroup, "token", "make and list the tokens that nodes join with",
			withWords(env, do.TokenCreate, words{0, 1}, cli.Command{
				Name: "create", ArgsUsage: "[ID.SECRET]", Usage: "make a token that nodes can join with for a while"}),
			withWords(env, do.TokenList, words{}, cli.Command{
				Name: "list", Aliases: []string{"ls"}, Usage: "list the tokens that `token create` made"}),
			withWords(env, do.TokenDelete, words{1, many}, cli.Command{
				Name: "delete", Aliases: []string{"rm"}, ArgsUsage: "ID...", Usage: "take tokens back: nodes that have joined stay"}),
			withWords(env, do.TokenRotate, words{}, cli.Command{
				Name: "rotate", Usage: "replace the server's own token: nodes that have joined stay"}),
			withWords(env, do.TokenGenerate, words{}, cli.Command{
				Name: "generate", Usage: "print a random token for `token create`, without a server"}),
		),
		group(clusterGroup, "node", "list, replace and remove the nodes of the cluster",
			withWords(env, do.NodeList, words{}, cli.Command{
				Name: "list", Aliases: []string{"ls"}, Usage: "list the nodes"}),
			withWords(env, do.NodeReplace, words{1, 1}, cli.Command{
				Name: "replace", ArgsUsage: "NAME", Usage: "let a new machine, with a key of its own, take the name of a node"}),
			withWords(env, do.NodeRemove, words{1, 1}, cli.Command{
				Name: "drain-and-remove", Aliases: []string{"remove"}, ArgsUsage: "NAME",
				Usage: "move the pods of a node elsewhere, then take it out of the cluster"}),
		),
		secretsCommands(env, do.Secrets),
		datastoreCommands(env, do.Datastore),
		group(clusterGroup, "kubeconfig", "give people and programs access to the cluster",
			withWords(env, do.UserCreate, words{1, 1}, cli.Command{
				Name: "create", ArgsUsage: "USER", Usage: "make a client certificate of a user, and the kubeconfig with it"}),
		),
	}
}
