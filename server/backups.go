package server

import (
	"bytes"
	"context"
	"errors"
	"os"
	"time"

	core "k8s.io/api/core/v1"

	"github.com/skerry-io/skerry/datastore/backup"
	"github.com/skerry-io/skerry/datastore/engines"
	"github.com/skerry-io/skerry/datastore/shelf"
	"github.com/skerry-io/skerry/datastore/vault"
	"github.com/skerry-io/skerry/internal/durable"
	"github.com/skerry-io/skerry/internal/run"
	"github.com/skerry-io/skerry/internal/version"
	"github.com/skerry-io/skerry/server/backups"
	"github.com/skerry-io/skerry/server/events"
)

// keepSettings writes down the settings that the cluster counts on: some came as flags or variables, and a backup is to have them.
func (s *Server) keepSettings() error {
	text, err := s.config.Common.File()
	if err != nil {
		return err
	}
	file := s.paths.CommonFile()
	if before, err := os.ReadFile(file); err == nil && bytes.Equal(before, text) {
		return nil
	}
	return durable.WriteFile(file, text, 0o600)
}

// backupServices is the row of backups by schedule, where there is one.
func (s *Server) backupServices() []run.Service {
	if s.config.BackupSchedule == "" {
		return nil
	}
	return []run.Service{{Name: "backups", Needs: []string{"apiserver"}, Run: s.backups, Again: run.Backoff{Min: time.Second, Max: time.Minute},
		Details: s.told.backups.Details}}
}

// backups makes backups when they are due.
func (s *Server) backups(ctx context.Context, ready func()) error {
	cluster, err := vault.Fingerprint(s.paths)
	if err != nil {
		return err
	}
	place := s.config.BackupPlace(s.paths) + "/"
	keeper, err := backups.New(backups.Config{
		Schedule: s.config.BackupSchedule, Retention: s.config.BackupRetention, Cluster: cluster,
		File: s.paths.BackupsFile(), Rows: &s.told.backups, Warn: s.backupFailed, Log: s.log,
		Put: s.putBackup,
		Shelf: func() (shelf.Shelf, error) {
			on, _, err := shelf.At(place, shelf.StorageOf(s.config.Backups), s.paths.ServerDir())
			return on, err
		},
	})
	if err != nil {
		return err
	}
	return keeper.Run(ctx, ready)
}

// putBackup makes one backup.
func (s *Server) putBackup(ctx context.Context, on shelf.Shelf, now time.Time) (r vault.Result, err error) {
	seal, err := backup.NewSeal(s.config.BackupPassphraseFile, s.config.BackupRecipient)
	if err != nil {
		return r, err
	}
	client, err := s.endpoint().Client()
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	source := vault.Source{Paths: s.paths, ConfigFile: s.config.ConfigFile, Client: client, Program: version.Number(), Kubernetes: version.Kubernetes,
		Server: s.config.NodeName, Engine: engines.Present(s.paths, s.config.Endpoint()).Brand()}
	return source.Put(ctx, seal, on, "", now, true)
}

// backupFailed leaves an Event, which `kubectl describe node` shows.
func (s *Server) backupFailed(ctx context.Context, why error) error {
	return s.warn("BackupFailed")(ctx, s.config.NodeName, why)
}

// warn leaves an Event about a node.
func (s *Server) warn(reason string) func(ctx context.Context, node string, why error) error {
	return func(ctx context.Context, node string, why error) error {
		client, err := s.admin()
		if err != nil {
			return err
		}
		return events.Teller{Client: client, Component: "skerry", Host: s.config.NodeName}.Tell(ctx, events.Event{
			About: events.Node(node), Type: core.EventTypeWarning, Reason: reason, Message: why.Error()})
	}
}
