package vault_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/skerry-io/skerry/datastore/engines"
	"github.com/skerry-io/skerry/datastore/vault"
	"github.com/skerry-io/skerry/tests/testdb"
)

// What fails after a database of others was filled says whose the records there are, and leaves this machine as it was.
func TestWhatFailsAfterADatabaseWasFilled(t *testing.T) {
	seal, key := keys(t)
	path := saved(t, newMachine(t), 5, seal, time.Now())
	server := testdb.Postgres(t)
	now := time.Now()
	for what, do := range map[string]func(m machine, to func(string) engines.Engine) error{
		"restore": func(m machine, to func(string) engines.Engine) error {
			r := restoration(m, path, key)
			r.Force, r.Now, r.Engine = true, now, to
			_, err := r.Run(t.Context())
			return err
		},
		"migration": func(m machine, to func(string) engines.Engine) error {
			_, err := vault.Migration{Dir: m.paths.DBDir(), From: sqlite, To: to, Now: now}.Run(t.Context())
			return err
		},
	} {
		m := newMachine(t)
		if err := m.settle(t, 2).Close(); err != nil {
			t.Fatal(err)
		}
		for _, dir := range []string{m.paths.ServerDir(), m.paths.DBDir()} { // nothing can be put aside
			write(t, filepath.Join(dir+".before-"+now.UTC().Format("20060102-150405"), "x"), "", 0o600)
		}
		before := tree(t, m.paths.DataDir())
		to := external(t, server.PostgresURL("late_"+what))
		err := do(m, to)
		for _, want := range []string{"late_" + what + " holds all records of this " + what, "is there already", "remove the table kine"} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: it does not say %q: %v", what, want, err)
			}
		}
		if after := tree(t, m.paths.DataDir()); !slices.Equal(before, after) {
			t.Errorf("%s: %v became %v", what, before, after)
		}
	}
}

// Settings that cannot be written are told; the cluster is there.
func TestSettingsThatCannotBeWritten(t *testing.T) {
	seal, key := keys(t)
	path := saved(t, newMachine(t), 5, seal, time.Now())
	m := newMachine(t)
	write(t, filepath.Dir(m.config), "a file where the directory should be", 0o600)
	done, err := restoration(m, path, key).Run(t.Context())
	if err != nil || done.Unplaced == nil || !strings.Contains(done.Unplaced.Error(), "config.yaml") || len(done.Placed)+len(done.Differ) != 0 {
		t.Errorf("it says %+v, %v", done, err)
	}
	if records, _ := m.contents(t, sqlite); len(records) != 5 {
		t.Errorf("%d records are there", len(records))
	}
	if _, err := os.Stat(m.paths.TokenFile()); err != nil {
		t.Error(err)
	}
}
