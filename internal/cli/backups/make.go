package backups

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/skerry-io/skerry/datastore"
	"github.com/skerry-io/skerry/datastore/backup"
	"github.com/skerry-io/skerry/datastore/engines"
	"github.com/skerry-io/skerry/datastore/export"
	"github.com/skerry-io/skerry/datastore/shelf"
	"github.com/skerry-io/skerry/datastore/vault"
	"github.com/skerry-io/skerry/internal/cli/cluster"
	"github.com/skerry-io/skerry/internal/cli/command"
	"github.com/skerry-io/skerry/internal/cli/progress"
	"github.com/skerry-io/skerry/internal/config"
	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/version"
)

// standardOutput is how it is written as a place.
const standardOutput = "-"

// Make saves the cluster of the server on this host: of the running one, or of its files when none runs.
func Make(ctx context.Context, env command.Env, c config.Backup, _ []string) (err error) {
	seal, err := sealOf(c)
	if err != nil {
		return err
	}
	if _, err := vault.Fingerprint(c.Paths()); err != nil {
		return err
	}
	client, kind, done, err := reach(ctx, env, c.Paths(), c.Elsewhere)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	bar := progress.New(env.Err).Bar()
	source := vault.Source{Paths: c.Paths(), ConfigFile: c.ConfigFile, Client: client, Program: version.Number(), Kubernetes: version.Kubernetes,
		Server: c.NodeName, Engine: kind, Progress: func(done, of int64) { bar.Set("copying", done, of) }}
	place := c.Output
	if place == "" {
		place = c.BackupPlace(c.Paths()) + "/"
	}
	result, where, err := save(ctx, env, source, seal, place, shelf.StorageOf(c.Backups))
	bar.End()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(env.Err, "saved the cluster %s at revision %d: %d keys, %d files, %s in %s\n", result.Manifest.Cluster[:12],
		result.Manifest.Revision, result.Summary.Keys, result.Summary.Files, cluster.Size(result.Size), where)
	return err
}

// save writes the backup to its place, and says where that is.
func save(ctx context.Context, env command.Env, s vault.Source, seal *backup.Seal, place string, storage shelf.Storage) (r vault.Result, where string, err error) {
	now := time.Now()
	if place == standardOutput {
		r, err = stream(ctx, env.Out, s, seal, now)
		return r, "standard output", err
	}
	on, name, err := shelf.At(place, storage, s.Paths.ServerDir())
	if err != nil {
		return r, "", err
	}
	if r, err = s.Put(ctx, seal, on, name, now, false); err != nil {
		return r, "", err
	}
	return r, strings.TrimSuffix(on.String(), "/") + "/" + r.Name, nil
}

// stream makes the backup before the first byte goes out: whoever takes it may be slow.
func stream(ctx context.Context, to io.Writer, s vault.Source, seal *backup.Seal, now time.Time) (r vault.Result, err error) {
	spool := shelf.NewSpool(s.Paths.ServerDir())
	defer func() { err = errors.Join(err, spool.Close()) }()
	if r.Manifest, r.Summary, err = s.Make(ctx, spool, seal, now); err != nil {
		return r, err
	}
	from, err := spool.Reader()
	if err == nil {
		r.Size, err = io.Copy(to, from)
	}
	if err != nil {
		err = fault.New("hand the backup on by standard output").Because(err).Fix("see what takes it, and whether that has room")
	}
	return r, err
}

// sealOf is what the flags say, or else the settings.
func sealOf(c config.Backup) (*backup.Seal, error) {
	if c.PassphraseFile != "" || len(c.Recipient) > 0 {
		return backup.NewSeal(c.PassphraseFile, c.Recipient)
	}
	return backup.NewSeal(c.BackupPassphraseFile, c.BackupRecipient)
}

// keyOf is what the flags say, or else the settings.
func keyOf(passphraseFile, identityFile string, c config.Backups) (*backup.Key, error) {
	if passphraseFile == "" && identityFile == "" {
		passphraseFile = c.BackupPassphraseFile
	}
	return backup.NewKey(passphraseFile, identityFile)
}

// reach connects to the datastore of the server that runs here. When none does, its files are opened; what others run is asked directly.
func reach(ctx context.Context, env command.Env, p config.Paths, at config.Elsewhere) (client export.Client, kind string, done func() error, err error) {
	e, err := present(p, at)
	if err != nil {
		return nil, "", nil, err
	}
	socket := filepath.Join(p.ServerDir(), "datastore.sock")
	if answers(ctx, socket) {
		c, err := datastore.Endpoint{URLs: []string{"unix://" + socket}}.Client()
		if err != nil {
			return nil, "", nil, err
		}
		return c, e.Brand(), c.Close, nil
	}
	if _, err := os.Stat(p.DBDir()); err != nil && !e.External() {
		return nil, "", nil, fault.New("there is no datastore on this host").Because(err).Fix("run the command on a server, with the data-dir of that server")
	}
	if !e.External() {
		_, _ = fmt.Fprintln(env.Err, "no server runs here: its files are read")
	}
	opened, err := e.Open(ctx)
	if err != nil {
		return nil, "", nil, err
	}
	return opened.Client, e.Brand(), opened.Close, nil
}

// present is the engine of the server on this host.
func present(p config.Paths, at config.Elsewhere) (engines.Engine, error) {
	endpoint, err := config.ParseEndpoint(at.DatastoreEndpoint)
	if err != nil {
		return engines.Engine{}, err
	}
	return found(engines.Present(p, endpoint), at, config.Own{}), nil
}

// found is an engine with what the settings say of it.
func found(e engines.Engine, at config.Elsewhere, own config.Own) engines.Engine {
	e.CAFile, e.CertFile, e.KeyFile = at.DatastoreCAFile, at.DatastoreCertFile, at.DatastoreKeyFile
	e.Name, e.Address, e.Log = own.NodeName, own.AdvertiseAddress, slog.New(slog.DiscardHandler)
	return e
}

func answers(ctx context.Context, socket string) bool {
	ctx, stop := context.WithTimeout(ctx, time.Second)
	defer stop()
	c, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}
