package vault_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/skerry-io/skerry/datastore/backup"
	"github.com/skerry-io/skerry/datastore/engine"
	"github.com/skerry-io/skerry/datastore/shelf"
	"github.com/skerry-io/skerry/datastore/vault"
	"github.com/skerry-io/skerry/tests/certtest"
)

const boxed = "k8s:enc:secretbox:v1:key1-ab:x"

// What a cluster cannot do without.
func needed() []string {
	return []string{"tls/server-ca.crt", "tls/server-ca.key", "tls/client-ca.crt", "tls/client-ca.key", "tls/service.key"}
}

// A backup that nobody could restore from is not made.
func TestABackupOfHalfACluster(t *testing.T) {
	seal, _ := keys(t)
	m := newMachine(t)
	opened := m.settle(t, 3)
	defer func() { _ = opened.Close() }()
	s := vault.Source{Paths: m.paths, ConfigFile: m.config, Client: opened.Client}
	refused := func(name string) {
		t.Helper()
		dir := shelf.Directory(t.TempDir())
		if _, err := s.Put(t.Context(), seal, dir, "", time.Now(), false); err == nil || !strings.Contains(err.Error(), "to cure") ||
			name != "tls/server-ca.crt" && !strings.Contains(err.Error(), "make a backup without "+name+":") { // without that one there is no cluster
			t.Errorf("without %s: %v", name, err)
		}
		if left := tree(t, dir.String()); len(left) > 0 {
			t.Errorf("without %s: there is %v", name, left)
		}
	}
	for _, name := range needed() {
		file := filepath.Join(m.paths.ServerDir(), name)
		text := read(t, file)
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		refused(name)
		write(t, file, "", 0o600)
		refused(name)
		write(t, file, text, 0o600)
	}
	if _, err := opened.Client.Put(t.Context(), "/registry/secrets/default/a", boxed); err != nil {
		t.Fatal(err)
	}
	refused("cred/encryption-config.json")
	write(t, filepath.Join(m.paths.ServerDir(), "cred/encryption-config.json"), "{}", 0o600)
	if _, _, err := s.Make(t.Context(), io.Discard, seal, time.Now()); err != nil {
		t.Errorf("with all: %v", err)
	}
}

// One that was made all the same is not restored.
func TestARestoreOfHalfACluster(t *testing.T) {
	seal, key := keys(t)
	ca := read(t, certtest.New(t).File())
	restored := func(without, value string, more ...string) error {
		t.Helper()
		var files []backup.File
		for _, name := range append(needed(), more...) {
			if name != without {
				files = append(files, backup.File{Name: "server/" + name, Mode: 0o600, Data: []byte(ca)})
			}
		}
		var text strings.Builder
		if _, err := backup.Write(&text, seal, backup.Contents{Manifest: backup.Manifest{Revision: 7}, Files: files, Records: func(each func(engine.Record) error) error {
			return each(engine.Record{Revision: 5, Created: 5, Version: 1, Key: "/registry/secrets/default/a", Value: []byte(value)})
		}}); err != nil {
			t.Fatal(err)
		}
		m, file := newMachine(t), filepath.Join(t.TempDir(), "x.backup")
		write(t, file, text.String(), 0o600)
		_, err := restoration(m, file, key).Run(t.Context())
		if _, made := os.Stat(m.paths.DataDir()); err != nil && !errors.Is(made, os.ErrNotExist) {
			t.Errorf("without %s: there is %v", without, tree(t, m.paths.DataDir()))
		}
		return err
	}
	for _, name := range needed() {
		if err := restored(name, "plain"); err == nil || !strings.Contains(err.Error(), "the backup lacks "+name+",") || !strings.Contains(err.Error(), "nothing was changed") {
			t.Errorf("without %s: %v", name, err)
		}
	}
	if err := restored("", boxed); err == nil || !strings.Contains(err.Error(), "the backup lacks cred/encryption-config.json,") {
		t.Errorf("Secrets without their keys: %v", err)
	}
	if err := errors.Join(restored("", "plain"), restored("", boxed, "cred/encryption-config.json")); err != nil {
		t.Errorf("with all: %v", err)
	}
}
