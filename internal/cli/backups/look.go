package backups

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/skerry-io/skerry/datastore/backup"
	"github.com/skerry-io/skerry/datastore/shelf"
	"github.com/skerry-io/skerry/datastore/vault"
	"github.com/skerry-io/skerry/internal/cli/cluster"
	"github.com/skerry-io/skerry/internal/cli/command"
	"github.com/skerry-io/skerry/internal/cli/progress"
	"github.com/skerry-io/skerry/internal/config"
	"github.com/skerry-io/skerry/internal/fault"
)

// listed is what `backup list -o json` tells of one; its names are part of the interface.
type listed struct {
	Name      string    `json:"name"`
	Cluster   string    `json:"cluster"` // the beginning of its fingerprint
	Made      time.Time `json:"made"`
	Scheduled bool      `json:"scheduled"`
	Size      int64     `json:"size"` // in bytes
}

// List prints the backups of a place.
func List(ctx context.Context, env command.Env, c config.BackupList, _ []string) error {
	place := c.From
	if place == "" {
		place = c.BackupPlace(c.Paths())
	}
	on, _, err := shelf.At(place+"/", shelf.StorageOf(c.Backups), "")
	if err != nil {
		return err
	}
	found, err := on.List(ctx)
	if err != nil {
		return err
	}
	all, rows := make([]listed, 0, len(found)), [][]string{{"NAME", "CLUSTER", "AGE", "SIZE", "BY"}}
	for _, item := range found {
		by := "hand"
		if item.Scheduled {
			by = "schedule"
		}
		all = append(all, listed{item.Name, item.Cluster, item.Made, item.Scheduled, item.Size})
		rows = append(rows, []string{item.Name, item.Cluster, cluster.Age(item.Made), cluster.Size(item.Size), by})
	}
	if c.Output == "json" {
		return cluster.JSON(env.Out, all)
	}
	if len(all) == 0 {
		_, err := fmt.Fprintln(env.Out, "there are no backups in", on)
		return err
	}
	return cluster.Table(env.Out, rows...)
}

// verified is what `backup verify -o json` tells; its names are part of the interface.
type verified struct {
	backup.Manifest
	backup.Summary
}

// Verify reads a whole backup, as a restore does before it changes anything.
func Verify(ctx context.Context, env command.Env, c config.BackupVerify, words []string) error {
	key, err := keyOf(c.PassphraseFile, c.IdentityFile, c.Backups)
	if err != nil {
		return err
	}
	open, err := opener(words[0], c.Backups, c.Paths())
	if err != nil {
		return err
	}
	bar := progress.New(env.Err).Bar()
	checked, err := vault.Backup{Open: open, Key: key, Progress: bar.Set}.Check(ctx)
	bar.End()
	if err != nil {
		return err
	}
	if err := usable(env, checked); err != nil {
		return err
	}
	m, s := checked.Manifest, checked.Summary
	if c.Output == "json" {
		return cluster.JSON(env.Out, verified{m, s})
	}
	_, err = fmt.Fprintf(env.Out, `the backup is whole, and a cluster can be restored from it
cluster   %s
made      %s by %s, skerry %s, Kubernetes %s
engine    %s, revision %d
holds     %d keys of %s, %d files
`, m.Cluster, m.Made.Format(time.RFC3339), m.Server, m.Version, m.Kubernetes, m.Engine, m.Revision, s.Keys, cluster.Size(s.Bytes), s.Files)
	return err
}

// usable refuses a backup whose settings a restore on a fresh machine would stop at.
func usable(env command.Env, checked *vault.Checked) (err error) {
	dir, err := os.MkdirTemp("", "skerry-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	file, err := checked.Settings(dir, "")
	if err == nil {
		_, _, err = understood(config.Sources{Hostname: env.Hostname}, nil, file)
	}
	return err
}

// opener opens the backup that a word names: a mere name is that of a file here, or else of a backup in its usual place.
func opener(place string, c config.Backups, p config.Paths) (func(context.Context) (io.ReadCloser, int64, error), error) {
	if place == standardOutput {
		return nil, fault.New("a backup is read twice, which standard input cannot be").Fix("write it to a file first")
	}
	if _, err := os.Stat(place); err != nil && !strings.Contains(place, "/") {
		place = c.BackupPlace(p) + "/" + place
	}
	on, name, err := shelf.At(place, shelf.StorageOf(c), "")
	if err != nil {
		return nil, err
	}
	if name == "" {
		return nil, fault.New("%s is not a backup", place).Fix("add the name of one: `skerry backup list --from %s` lists them", on)
	}
	return func(ctx context.Context) (io.ReadCloser, int64, error) { return on.Open(ctx, name) }, nil
}

// Identity makes an identity, in a file or on standard output.
func Identity(_ context.Context, env command.Env, c config.BackupIdentity, _ []string) error {
	recipient, text, err := backup.NewIdentity()
	if err != nil {
		return err
	}
	if c.Output == "" {
		_, err := io.WriteString(env.Out, text)
		return err
	}
	f, err := os.OpenFile(c.Output, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fault.New("write the identity").Because(err).Fix("give a file that is not there yet: another identity in it would be lost, and with it all backups that it opens")
	}
	_, err = io.WriteString(f, text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	_, err = fmt.Fprintln(env.Out, recipient)
	return err
}
