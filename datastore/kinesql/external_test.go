package kinesql

import (
	"context"
	"fmt"
	"hash/fnv"
	"log/slog"
	"testing"

	"github.com/skerry-io/skerry/datastore"
	"github.com/skerry-io/skerry/datastore/storetest"
	"github.com/skerry-io/skerry/internal/config"
	"github.com/skerry-io/skerry/tests/testdb"
)

// database is a kind of server, and how its databases are named.
type database struct {
	server         *testdb.Server
	url, socketURL func(database string) string
}

func postgres(t *testing.T) database {
	s := testdb.Postgres(t)
	return database{s, s.PostgresURL, s.PostgresSocket}
}

func mariaDB(t *testing.T) database {
	s := testdb.MariaDB(t)
	return database{s, s.MySQLURL, s.MySQLSocket}
}

// TestDatabases puts both through the suite, and through what goes wrong only with a database of others.
func TestDatabases(t *testing.T) {
	for name, begin := range map[string]func(*testing.T) database{"postgres": postgres, "mariadb": mariaDB} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := begin(t)
			t.Run("suite", d.suite)
			t.Run("refused", d.refused)
			t.Run("tls", d.tls)
			t.Run("late", d.late)
			t.Run("broken", d.broken)
			t.Run("two", d.two)
			t.Run("order", d.order)
			t.Run("seed", d.seed)
			t.Run("seed, in use", d.seedInUse)
			t.Run("seed, cut off", d.seedCutOff)
			t.Run("seed, while a server starts", d.seedAlone)
		})
	}
}

func (d database) config(t testing.TB, url string) Config {
	t.Helper()
	e, err := config.ParseEndpoint(config.Secret(url))
	if err != nil {
		t.Fatal(err)
	}
	return Config{Endpoint: e, Log: slog.New(slog.DiscardHandler)}
}

// named is a database for a test's directory.
func named(dir string) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(dir))
	return fmt.Sprintf("t%x", h.Sum64())
}

func (d database) connected(t testing.TB, url string) (datastore.Store, func()) {
	t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	store, done, err := Connect(ctx, d.config(t, url))
	if err != nil {
		stop()
		t.Fatal(err)
	}
	return store, func() {
		stop()
		done()
	}
}

func (d database) suite(t *testing.T) {
	storetest.Run(t, storetest.Engine{
		Open: func(t testing.TB, dir string) (datastore.Store, func()) { return d.connected(t, d.url(named(dir))) },
	})
}
