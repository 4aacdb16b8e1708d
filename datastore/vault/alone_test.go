package vault_test

import (
	"context"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/skerry-io/skerry/datastore/engine"
	"github.com/skerry-io/skerry/datastore/engines"
	"github.com/skerry-io/skerry/datastore/vault"
	"github.com/skerry-io/skerry/tests/testdb"
)

// others is a server elsewhere that uses a database with some keys in it.
func others(t *testing.T, of func(string) engines.Engine) *clientv3.Client {
	t.Helper()
	one := engine.Record{Revision: 10, Created: 10, Version: 1, Key: "/registry/configmaps/default/a", Value: []byte("1")}
	err := of("").Fill(t.Context(), engine.State{Revision: 10}, func(each func(engine.Record) error) error { return each(one) })
	if err != nil {
		t.Fatal(err)
	}
	opened, err := of("").Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := opened.Close(); err != nil {
			t.Error(err)
		}
	})
	return opened.Client
}

// A datastore that other servers write to is not brought elsewhere: what they write would be lost.
func TestAMigrationAwayFromOtherServers(t *testing.T) {
	server := testdb.Postgres(t)
	from, to := external(t, server.PostgresURL("busy")), external(t, server.PostgresURL("target"))
	client := others(t, from)
	for _, c := range []struct {
		name string
		at   string // when they write
		to   func(string) engines.Engine
		want []string
	}{
		{"while it is copied", "copying", sqlite, []string{"changed while it was copied", "/late was written", "stop all servers"}},
		{"while it is checked", "checking", sqlite, []string{"changed while it was copied", "stop all servers"}},
		{"while it goes into a database", "copying", to, []string{"changed while it was copied", "stop all servers"}},
		{"while a database is checked", "checking", to, []string{"target holds all records of this migration", "remove the table kine", "changed while"}},
		{"into what the last one filled", "", to, []string{"target is in use"}},
	} {
		m := newMachine(t)
		_, err := vault.Migration{Dir: m.paths.DBDir(), From: from, To: c.to, Now: time.Now(), Progress: func(what string, done, of int64) {
			if what != c.at || done != of {
				return
			}
			if _, err := client.Put(t.Context(), "/registry/configmaps/default/late", c.name); err != nil {
				t.Error(err)
			}
		}}.Run(t.Context())
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: it does not say %q: %v", c.name, want, err)
			}
		}
		if left := tree(t, m.paths.DataDir()); len(left) > 0 {
			t.Errorf("%s: there is %v", c.name, left)
		}
	}
}

// A server that says again and again that it is there is told from one that has ended.
func TestAMigrationWhileServersRun(t *testing.T) {
	from := external(t, testdb.MariaDB(t).MySQLURL("busy"))
	client := others(t, from)
	m := newMachine(t)
	migration := vault.Migration{Dir: m.paths.DBDir(), From: from, To: sqlite, Now: time.Now()}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- present(ctx, client) }()
	_, err := migration.Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "in use by the server at 10.0.0.1; to cure: stop all servers") {
		t.Errorf("while one runs: %v", err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if left := tree(t, m.paths.DataDir()); len(left) > 0 {
		t.Errorf("there is %v", left)
	}
	lease, err := client.Grant(t.Context(), 2)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Put(t.Context(), "/registry/masterleases/10.0.0.1", "x", clientv3.WithLease(lease.ID)); err != nil {
		t.Fatal(err)
	}
	if moved, err := migration.Run(t.Context()); err != nil || moved.Keys != 1 {
		t.Errorf("after it ended: %+v, %v", moved, err)
	}
}

// present says that a server is there until ctx ends.
func present(ctx context.Context, client *clientv3.Client) error {
	for again := time.NewTicker(100 * time.Millisecond); ; {
		if _, err := client.Put(context.WithoutCancel(ctx), "/registry/masterleases/10.0.0.1", time.Now().String()); err != nil {
			return err
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return nil
		}
	}
}
