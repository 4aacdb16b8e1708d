package vault_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/skerry-io/skerry/datastore/engine"
	"github.com/skerry-io/skerry/datastore/engines"
	"github.com/skerry-io/skerry/datastore/shelf"
	"github.com/skerry-io/skerry/datastore/vault"
	"github.com/skerry-io/skerry/internal/config"
	"github.com/skerry-io/skerry/tests/testdb"
)

// stop is an engine on a journey, and whether it counts how often a key was written.
type stop struct {
	name string
	of   func(dir string) engines.Engine
}

func member(dir string) engines.Engine {
	return engines.Engine{Kind: engines.Etcd, Dir: dir, Name: "server", Address: netip.MustParseAddr("127.0.0.1"), Log: slog.New(slog.DiscardHandler)}
}

func external(t *testing.T, url string) func(string) engines.Engine {
	t.Helper()
	e, err := engines.Named(config.Secret(url))
	if err != nil {
		t.Fatal(err)
	}
	return func(dir string) engines.Engine {
		e.Dir, e.Log = dir, slog.New(slog.DiscardHandler)
		return e
	}
}

// plain are records without what not every engine keeps.
func plain(all []engine.Record) string {
	var text strings.Builder
	for _, r := range all {
		fmt.Fprintf(&text, "%s=%s at %d since %d\n", r.Key, r.Value, r.Revision, r.Created)
	}
	return text.String()
}

// TestAJourneyThroughAllEngines: a cluster goes from one engine to the next, and keeps every key and revision.
func TestAJourneyThroughAllEngines(t *testing.T) {
	m := newMachine(t)
	if err := m.settle(t, 1200).Close(); err != nil {
		t.Fatal(err)
	}
	now, want := stop{"sqlite", sqlite}, ""
	for i, next := range []stop{{"etcd", member}, {"postgres", external(t, testdb.Postgres(t).PostgresURL("journey"))}, {"etcd again", member},
		{"mariadb", external(t, testdb.MariaDB(t).MySQLURL("journey"))}, {"sqlite again", sqlite}} {
		before, at := m.contents(t, now.of)
		if want == "" {
			want = plain(before)
		}
		moved, err := vault.Migration{Dir: m.paths.DBDir(), From: now.of, To: next.of, Now: time.Now().Add(time.Duration(i) * time.Second)}.Run(t.Context())
		if err != nil {
			t.Fatalf("from %s to %s: %v", now.name, next.name, err)
		}
		after, then := m.contents(t, next.of)
		if plain(after) != want || then < at || moved.Keys != 1200 || moved.Changed != 0 || moved.Revision < at {
			t.Errorf("from %s to %s: %d records at %d became %d at %d: %+v", now.name, next.name, len(before), at, len(after), then, moved)
		}
		if kept := moved.Aside != ""; kept == now.of("").External() {
			t.Errorf("from %s to %s: the old store is in %q", now.name, next.name, moved.Aside)
		}
		now = next
	}
}

// TestAnyBackupIntoAnyEngine: what was saved from one engine is restored into another.
func TestAnyBackupIntoAnyEngine(t *testing.T) {
	seal, key := keys(t)
	first := newMachine(t)
	path := saved(t, first, 500, seal, time.Now())
	records, _ := first.contents(t, sqlite)
	want := plain(records)
	for _, into := range []stop{{"etcd", member}, {"postgres", external(t, testdb.Postgres(t).PostgresURL("restore"))},
		{"mariadb", external(t, testdb.MariaDB(t).MySQLURL("restore"))}, {"sqlite", sqlite}} {
		m := newMachine(t)
		r := restoration(m, path, key)
		r.Engine = into.of
		done, err := r.Run(t.Context())
		if err != nil {
			t.Fatalf("into %s: %v", into.name, err)
		}
		if got, at := m.contents(t, into.of); plain(got) != want || at < done.Revision {
			t.Errorf("into %s: %d records at %d", into.name, len(got), at)
		}
		opened, err := into.of(m.paths.DBDir()).Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		dir := shelf.Directory(t.TempDir())
		next, err := vault.Source{Paths: m.paths, ConfigFile: m.config, Client: opened.Client, Engine: into.name}.Put(t.Context(), seal, dir, "", time.Now(), false)
		if err = errors.Join(err, opened.Close()); err != nil {
			t.Fatal(err)
		}
		path = filepath.Join(dir.String(), next.Name) // and from there into the next one
	}
}

// A migration that fails leaves the old store as it was.
func TestAMigrationThatFails(t *testing.T) {
	m := newMachine(t)
	if err := m.settle(t, 20).Close(); err != nil {
		t.Fatal(err)
	}
	before := tree(t, m.paths.DataDir())
	for name, to := range map[string]func(string) engines.Engine{
		"an etcd of others": external(t, "https://127.0.0.1:1"),
		"a full place":      func(string) engines.Engine { return sqlite(m.paths.DBDir()) },
	} {
		if _, err := (vault.Migration{Dir: m.paths.DBDir(), From: sqlite, To: to, Now: time.Now()}).Run(t.Context()); err == nil {
			t.Errorf("%s: it worked", name)
		}
		if after := tree(t, m.paths.DataDir()); !slices.Equal(before, after) {
			t.Errorf("%s: %v became %v", name, before, after)
		}
	}
}
