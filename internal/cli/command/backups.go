package command

import (
	"context"

	"github.com/urfave/cli/v2"

	"github.com/skerry-io/skerry/internal/config"
)

// BackupActions does the work of the commands that carry a cluster away and bring it back. The words are those after the command.
type BackupActions struct {
	Make     func(context.Context, Env, config.Backup, []string) error
	Verify   func(context.Context, Env, config.BackupVerify, []string) error
	List     func(context.Context, Env, config.BackupList, []string) error
	Identity func(context.Context, Env, config.BackupIdentity, []string) error
	Restore  func(context.Context, Env, config.Restore, []string) error
	Migrate  func(context.Context, Env, config.Migrate, []string) error
}

// aBackup says what the word is that stands for one.
const aBackup = "BACKUP is a file, s3://BUCKET/FOLDER/NAME, or a name as skerry backup list prints them."

func backupCommands(env Env, do BackupActions) []*cli.Command {
	save := wordsFrom(env, do.Make, config.LoadBeside[config.Backup], words{}, cli.Command{
		Name: "backup", Category: clusterGroup, Usage: "save the whole cluster in one sealed file, while it runs",
		Description: "Keys, files and settings, of one moment, sealed with a passphrase or for a recipient. With the server stopped, its files are read.\n" +
			"skerry backup list, verify and identity look after such files; each answers --help."})
	members := group(clusterGroup, "backup", "",
		wordsFrom(env, do.List, config.LoadBeside[config.BackupList], words{}, cli.Command{
			Name: "list", Aliases: []string{"ls"}, Usage: "list the backups that lie in a place"}),
		wordsFrom(env, do.Verify, config.LoadBeside[config.BackupVerify], words{1, 1}, cli.Command{
			Name: "verify", ArgsUsage: "BACKUP", Usage: "read a whole backup, and tell whether it could be restored",
			Description: aBackup}),
		withWords(env, do.Identity, words{}, cli.Command{
			Name: "identity", Usage: "make an identity, which opens backups, and print its recipient, which seals them"}),
	)
	save.Subcommands = members.Subcommands
	return []*cli.Command{
		save,
		wordsFrom(env, do.Restore, config.LoadBeside[config.Restore], words{1, 1}, cli.Command{
			Name: "restore", Category: clusterGroup, ArgsUsage: "BACKUP", Usage: "bring a cluster back on this machine, while no node runs on it",
			Description: aBackup + "\nThe whole of it is read before anything is touched. Start the server afterwards, with the settings of this machine alone: those of the cluster are in the file."}),
		wordsFrom(env, do.Migrate, config.LoadBeside[config.Migrate], words{}, cli.Command{
			Name: "migrate", Category: clusterGroup, Usage: "move the datastore to another engine, while no node runs here",
			Description: "Every key is copied, read again and compared; the former datastore is put aside. Stop the server first, and start it afterwards."}),
	}
}
