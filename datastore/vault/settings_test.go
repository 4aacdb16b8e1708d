package vault_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/skerry-io/skerry/datastore/backup"
	"github.com/skerry-io/skerry/internal/config"
)

// flagged is a backup of a server that got settings by flags. Its config file says one of them otherwise.
func flagged(t *testing.T, seal *backup.Seal) string {
	t.Helper()
	m := newMachine(t)
	src := config.Sources{Hostname: func() (string, error) { return "pi", nil }}
	s, err := config.LoadOver[config.Server](src, []string{"--cluster-cidr", "10.51.0.0/16", "--cluster-domain", "edge.local", "--tls-san", "pi.example"}, m.config)
	if err != nil {
		t.Fatal(err)
	}
	text, err := s.Common.File()
	if err != nil {
		t.Fatal(err)
	}
	write(t, m.paths.CommonFile(), string(text), 0o600)
	write(t, m.config+".d/some.yaml", "cluster-domain: old.local\n", 0o600)
	return saved(t, m, 5, seal, time.Now())
}

// What a server was told by flags is in force after a restore as well, with nothing but the file.
func TestSettingsThatCameAsFlagsComeBack(t *testing.T) {
	seal, key := keys(t)
	m := newMachine(t)
	r := restoration(m, flagged(t, seal), key)
	r.Now = time.Date(2026, 11, 21, 18, 0, 0, 0, time.UTC)
	var seen config.Common
	r.Ready = func(_ backup.Manifest, settings string) (err error) {
		seen, err = config.LoadOver[config.Common](config.Sources{}, nil, settings)
		return err
	}
	done, err := r.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dropIn := m.config + ".d/zz-restored-20261121-180000.yaml"
	if text := read(t, dropIn); !strings.HasSuffix(text, "tls-san:\n    - pi.example\ncluster-cidr:\n    - 10.51.0.0/16\ncluster-domain: edge.local\n") || !slices.Contains(done.Placed, dropIn) {
		t.Errorf("there is\n%s, and it says %v", text, done.Placed)
	}
	s, err := config.LoadOver[config.Common](config.Sources{}, nil, m.config)
	if err != nil || s.ClusterDomain != "edge.local" || s.ClusterCIDR[0].String() != "10.51.0.0/16" || seen.ClusterDomain != s.ClusterDomain {
		t.Errorf("a server reads %+v, and before that there was %+v, %v", s, seen, err)
	}
	if text := read(t, m.config+".d/some.yaml"); text != "cluster-domain: old.local\n" {
		t.Errorf("a file of the backup became %s", text)
	}
	r.Force, r.Now = true, r.Now.Add(time.Hour) // with its own settings there already
	if again, err := r.Run(t.Context()); err != nil || len(again.Placed) != 0 {
		t.Errorf("again it writes %v, %v", again.Placed, err)
	}
}

// What the operator of this machine has written is neither replaced nor overruled: it is one error, before anything is touched.
func TestSettingsThatContradictEachOther(t *testing.T) {
	seal, key := keys(t)
	path := flagged(t, seal)
	m := newMachine(t)
	write(t, m.config, "node-name: other\ncluster-cidr: 10.99.0.0/16\ncluster-domain: edge.local\n", 0o600)
	r := restoration(m, path, key)
	r.Ready = func(backup.Manifest, string) error { t.Error("it is taken"); return nil }
	_, err := r.Run(t.Context())
	for _, want := range []string{"config.yaml:2", "cluster-cidr is 10.99.0.0/16", "not 10.51.0.0/16", "nothing was changed"} {
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("it does not say %q: %v", want, err)
		}
	}
	if strings.Contains(err.Error(), "cluster-domain") {
		t.Errorf("it blames what is the same: %v", err)
	}
	if _, err := os.Stat(m.paths.DataDir()); !errors.Is(err, os.ErrNotExist) || len(tree(t, filepath.Dir(m.config))) != 1 {
		t.Errorf("there is %v, %v", tree(t, m.paths.DataDir()), tree(t, filepath.Dir(m.config)))
	}
	write(t, m.config, "node-name: other\ncluster-domain: edge.local\n", 0o600)
	r.Ready = nil
	if _, err := r.Run(t.Context()); err != nil {
		t.Error(err)
	}
	if s, err := config.LoadOver[config.Common](config.Sources{}, nil, m.config); err != nil || s.ClusterCIDR[0].String() != "10.51.0.0/16" || s.TLSSAN[0] != "pi.example" {
		t.Errorf("a server reads %+v, %v", s, err)
	}
}

// A cluster is not put in place without what it counts on, and what a restore that fails has written is gone.
func TestSettingsThatAClusterCannotDoWithout(t *testing.T) {
	seal, key := keys(t)
	path := flagged(t, seal)
	m := newMachine(t)
	write(t, m.config+".d", "a file where the directory should be", 0o600)
	_, err := restoration(m, path, key).Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "the settings that the cluster counts on") && !strings.Contains(err.Error(), "config.yaml.d") || !strings.Contains(err.Error(), "to cure") {
		t.Errorf("it says %v", err)
	}
	if left := append(tree(t, m.paths.DataDir()), tree(t, filepath.Dir(m.config))...); !slices.Equal(left, []string{"config.yaml.d"}) {
		t.Errorf("there is %v", left)
	}
	m = newMachine(t)
	r := restoration(m, path, key)
	if err := m.settle(t, 1).Close(); err != nil {
		t.Fatal(err)
	}
	before := tree(t, filepath.Dir(m.config))
	r.Force = true
	write(t, filepath.Join(m.paths.ServerDir()+".before-"+r.Now.UTC().Format("20060102-150405"), "x"), "", 0o600) // it cannot be put aside
	if _, err := r.Run(t.Context()); err == nil {
		t.Error("it is restored")
	}
	if after := tree(t, filepath.Dir(m.config)); !slices.Equal(before, after) {
		t.Errorf("%v became %v", before, after)
	}
}
