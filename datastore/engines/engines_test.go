package engines_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/skerry-io/skerry/datastore/engine"
	"github.com/skerry-io/skerry/datastore/engines"
	"github.com/skerry-io/skerry/datastore/export"
	"github.com/skerry-io/skerry/internal/config"
	"github.com/skerry-io/skerry/tests/testdb"
)

func external(t *testing.T, url string) engines.Engine {
	t.Helper()
	e, err := engines.Named(config.Secret(url))
	if err != nil {
		t.Fatal(err)
	}
	e.Log = slog.New(slog.DiscardHandler)
	return e
}

func inside(t *testing.T, kind string) engines.Engine {
	return engines.Engine{Kind: kind, Dir: t.TempDir(), Name: "server", Address: netip.MustParseAddr("127.0.0.1"), Log: slog.New(slog.DiscardHandler)}
}

func records(count int) (all []engine.Record) {
	for i := range count {
		all = append(all, engine.Record{Revision: int64(2*i + 10), Created: int64(i + 5), Version: 3, Key: fmt.Sprintf("/registry/%05d", i), Value: []byte(fmt.Sprint(i))})
	}
	return all
}

func hand(all []engine.Record) func(func(engine.Record) error) error {
	return func(each func(engine.Record) error) error {
		for _, r := range all {
			if err := each(r); err != nil {
				return err
			}
		}
		return nil
	}
}

// all are the engines; those of others where their programs are installed.
func all() map[string]func(*testing.T) engines.Engine {
	return map[string]func(*testing.T) engines.Engine{
		"sqlite":   func(t *testing.T) engines.Engine { return inside(t, engines.SQLite) },
		"etcd":     func(t *testing.T) engines.Engine { return inside(t, engines.Etcd) },
		"postgres": func(t *testing.T) engines.Engine { return external(t, testdb.Postgres(t).PostgresURL("backups")) },
		"mariadb":  func(t *testing.T) engines.Engine { return external(t, testdb.MariaDB(t).MySQLURL("backups")) },
	}
}

// TestEveryEngine: what is filled in comes out, and the next revision is above.
func TestEveryEngine(t *testing.T) {
	for name, make := range all() {
		t.Run(name, func(t *testing.T) {
			e, want := make(t), records(1500)
			state := engine.State{Revision: 5_000_000_000, Compacted: 5_000_000_000, Limit: 5_000_000_000}
			if err := e.Fill(t.Context(), state, hand(want)); err != nil {
				t.Fatal(err)
			}
			for range 2 { // once more, because the first end may have changed something
				got, at := contents(t, e)
				if e.External() { // they do not count versions
					for i := range got {
						got[i].Version = want[0].Version
					}
				}
				if fmt.Sprint(got) != fmt.Sprint(want) || at < state.Revision {
					t.Errorf("%d records of %d came out at %d, or others", len(got), len(want), at)
				}
			}
			if err := e.Fill(t.Context(), state, hand(want)); err == nil {
				t.Error("it is filled twice")
			}
		})
	}
}

func contents(t *testing.T, e engines.Engine) (got []engine.Record, at int64) {
	t.Helper()
	o, err := e.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	view, err := export.Open(t.Context(), o.Client)
	if err != nil {
		t.Fatal(err)
	}
	if err := view.Records(t.Context(), func(r engine.Record) error { got = append(got, r); return nil }); err != nil {
		t.Fatal(err)
	}
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	return got, view.Revision
}

func TestWordsForEngines(t *testing.T) {
	for text, want := range map[config.Secret]string{
		"sqlite": "sqlite", "etcd": "etcd", "https://10.0.0.1:2379": "etcd at https://10.0.0.1:2379",
		"postgres://skerry:hidden@db/k": "postgres at db/k", "mysql://skerry:hidden@tcp(db:3306)/k": "mysql at db:3306/k",
	} {
		if e, err := engines.Named(text); err != nil || e.String() != want {
			t.Errorf("%s: %s, %v", text, e, err)
		}
	}
	for _, text := range []config.Secret{"", "bolt", "nats://user:hidden@host"} {
		if _, err := engines.Named(text); err == nil || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestADamagedMemberIsNotMadeAnew: a command could not tell what is lost; the server does.
func TestADamagedMemberIsNotMadeAnew(t *testing.T) {
	e := inside(t, engines.Etcd)
	if err := e.Fill(t.Context(), engine.State{Revision: 5}, hand(records(3))); err != nil {
		t.Fatal(err)
	}
	logs, err := filepath.Glob(filepath.Join(e.Dir, "etcd", "member", "wal", "*.wal"))
	if err != nil || len(logs) == 0 {
		t.Fatalf("%q, %v", logs, err)
	}
	if err := os.Remove(logs[0]); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(logs[0], bytes.Repeat([]byte{255}, 4096), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := e.Open(t.Context()); err == nil || !strings.Contains(err.Error(), "the log is damaged") || !strings.Contains(fmt.Sprint(err), "start the server") {
			t.Errorf("it says %v", err)
		}
	}
	if left, err := filepath.Glob(filepath.Join(e.Dir, "etcd", "*damaged*")); err != nil || len(left) > 0 {
		t.Errorf("there is %q, %v", left, err)
	}
}

func TestNoMember(t *testing.T) {
	if _, err := inside(t, engines.Etcd).Open(t.Context()); err == nil || !strings.Contains(err.Error(), "there is no etcd member") {
		t.Errorf("got %v", err)
	}
}

// A command does not wait for ever for a datastore of others, as a server does.
func TestADatastoreOfOthersThatDoesNotAnswer(t *testing.T) {
	for _, url := range []string{"https://127.0.0.1:1", "postgres://u:hidden@127.0.0.1:1/x", "mysql://u:hidden@tcp(127.0.0.1:1)/x"} {
		e := external(t, url)
		e.Patience = 500 * time.Millisecond
		_, err := e.Open(t.Context())
		if told := fmt.Sprint(err); !strings.Contains(told, "reach ") || !strings.Contains(told, "connection refused") || !strings.Contains(told, "see whether it runs") || strings.Contains(told, "hidden") {
			t.Errorf("%s: it says %s", url, told)
		}
		if strings.HasPrefix(url, "https") {
			continue // nobody fills it
		}
		if err := e.Fill(t.Context(), engine.State{Revision: 1}, hand(nil)); !strings.Contains(fmt.Sprint(err), "see whether it runs") {
			t.Errorf("%s: to fill it says %v", url, err)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := external(t, "postgres://u:hidden@127.0.0.1:1/x").Open(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("one that was stopped: %v", err)
	}
}
