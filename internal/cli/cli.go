package cli

import (
	"context"
	"os"

	"github.com/skerry-io/skerry/agent/identity"
	"github.com/skerry-io/skerry/internal/cli/again"
	"github.com/skerry-io/skerry/internal/cli/backups"
	"github.com/skerry-io/skerry/internal/cli/command"
	"github.com/skerry-io/skerry/internal/cli/datastore"
	"github.com/skerry-io/skerry/internal/cli/images"
	"github.com/skerry-io/skerry/internal/cli/nodes"
	"github.com/skerry-io/skerry/internal/cli/secrets"
	"github.com/skerry-io/skerry/internal/cli/status"
	"github.com/skerry-io/skerry/internal/cli/tokens"
	"github.com/skerry-io/skerry/internal/cli/tools"
	"github.com/skerry-io/skerry/internal/cli/users"
)

// Env is the world of a run of the program.
type Env = command.Env

// OS is the world of this process.
func OS() Env {
	return Env{
		Args:       os.Args,
		In:         os.Stdin,
		Out:        os.Stdout,
		Err:        os.Stderr,
		Environ:    os.Environ(),
		Hostname:   os.Hostname,
		KeptName:   identity.KeptName,
		Executable: os.Executable,
	}
}

// Main runs the program in env and gives its exit code.
func Main(ctx context.Context, env Env) int { return command.Main(ctx, env, actions()) }

func actions() command.Actions {
	return command.Actions{
		Server:      again.OnMove(runServer),
		Agent:       again.OnMove(runAgent),
		CheckConfig: runCheckConfig,
		Reset:       runReset,
		Install:     runInstall,
		Uninstall:   runUninstall,
		Status:      status.Show,
		Images:      images.List,
		Cluster: command.ClusterActions{
			TokenCreate:   tokens.Create,
			TokenList:     tokens.List,
			TokenDelete:   tokens.Delete,
			TokenRotate:   tokens.Rotate,
			TokenGenerate: tokens.Generate,
			NodeList:      nodes.List,
			NodeReplace:   nodes.Replace,
			NodeRemove:    nodes.Remove,
			UserCreate:    users.Create,
			Secrets:       command.SecretsActions{Status: secrets.Status, Rotate: secrets.Rotate},
			Datastore:     command.DatastoreActions{Status: datastore.Status, Remove: datastore.Remove},
		},
		Backups: command.BackupActions{Make: backups.Make, List: backups.List, Verify: backups.Verify, Identity: backups.Identity,
			Restore: backups.Restore, Migrate: backups.Migrate},
		Kubectl: tools.Kubectl,
		Crictl:  tools.Crictl,
		Ctr:     tools.Ctr,
	}
}
