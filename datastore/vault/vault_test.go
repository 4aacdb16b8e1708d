package vault_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/skerry-io/skerry/datastore/backup"
	"github.com/skerry-io/skerry/datastore/engine"
	"github.com/skerry-io/skerry/datastore/engines"
	"github.com/skerry-io/skerry/datastore/export"
	"github.com/skerry-io/skerry/datastore/shelf"
	"github.com/skerry-io/skerry/datastore/vault"
	"github.com/skerry-io/skerry/internal/config"
	"github.com/skerry-io/skerry/tests/certtest"
)

func sqlite(dir string) engines.Engine {
	return engines.Engine{Kind: engines.SQLite, Dir: dir, Log: slog.New(slog.DiscardHandler)}
}

// machine is where a cluster can be.
type machine struct {
	paths  config.Paths
	config string
}

func newMachine(t *testing.T) machine {
	t.Helper()
	root := t.TempDir()
	return machine{config.Place{DataDir: filepath.Join(root, "data")}.Paths(), filepath.Join(root, "etc", "config.yaml")}
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), mode), os.Chmod(path, mode)); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
	}
	return string(text)
}

// settle gives a machine a cluster: its files, and keys in a datastore that is open until the test ends, or is closed.
func (m machine) settle(t *testing.T, keys int) *engines.Opened {
	t.Helper()
	dir := m.paths.ServerDir()
	write(t, filepath.Join(dir, "tls/server-ca.crt"), read(t, certtest.New(t).File()), 0o644)
	for _, name := range []string{"server-ca.key", "client-ca.crt", "client-ca.key", "service.key"} {
		write(t, filepath.Join(dir, "tls", name), name, 0o600)
	}
	write(t, filepath.Join(dir, "tls/serving-kube-apiserver.key"), "made again by every server", 0o600)
	write(t, filepath.Join(dir, "token"), "the token\n", 0o600)
	write(t, filepath.Join(dir, "manifests/app/web.yaml"), "kind: Pod\n", 0o644)
	write(t, m.config, "node-name: pi\n", 0o640)
	write(t, m.config+".d/more.yaml", "debug: true\n", 0o600)
	write(t, m.config+".d/notes.txt", "not read", 0o600)
	write(t, filepath.Join(filepath.Dir(m.config), "skerry.yaml"), "a kubeconfig", 0o600)
	opened, err := sqlite(m.paths.DBDir()).Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range keys {
		for _, value := range []string{"old", fmt.Sprintf("value %d", i)} {
			if _, err := opened.Client.Put(t.Context(), fmt.Sprintf("/registry/configmaps/default/%05d", i), value); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := opened.Client.Put(t.Context(), "/registry/events/default/x", "an event"); err != nil {
		t.Fatal(err)
	}
	return opened
}

// contents are the records of a machine's datastore, and its revision.
func (m machine) contents(t *testing.T, of func(string) engines.Engine) (all []engine.Record, revision int64) {
	t.Helper()
	opened, err := of(m.paths.DBDir()).Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := opened.Close(); err != nil {
			t.Error(err)
		}
	}()
	view, err := export.Open(t.Context(), opened.Client)
	if err == nil {
		err = view.Records(t.Context(), func(r engine.Record) error { all = append(all, r); return nil })
	}
	if err != nil {
		t.Fatal(err)
	}
	return all, view.Revision
}

func keys(t *testing.T) (*backup.Seal, *backup.Key) {
	t.Helper()
	recipient, text, err := backup.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "identity")
	write(t, file, text, 0o600)
	seal, err := backup.NewSeal("", []string{recipient})
	if err != nil {
		t.Fatal(err)
	}
	key, err := backup.NewKey("", file)
	if err != nil {
		t.Fatal(err)
	}
	return seal, key
}

// saved makes a backup of a cluster with that many keys, and ends it. It gives the file.
func saved(t *testing.T, m machine, count int, seal *backup.Seal, at time.Time) string {
	t.Helper()
	opened := m.settle(t, count)
	dir := shelf.Directory(t.TempDir())
	var done, of int64
	source := vault.Source{Paths: m.paths, ConfigFile: m.config, Client: opened.Client, Program: "1.0.0", Kubernetes: "v1", Server: "pi", Engine: "sqlite",
		Progress: func(d, o int64) { done, of = d, o }}
	r, err := source.Put(t.Context(), seal, dir, "", at, false)
	if err = errors.Join(err, opened.Close()); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir.String(), r.Name)
	info, err := os.Stat(path)
	if err != nil || info.Size() != r.Size || r.Summary.Keys != int64(count) || done != of || of != int64(count) {
		t.Fatalf("%+v of %d bytes, %d of %d, %v", r, info.Size(), done, of, err)
	}
	return path
}

func restoration(m machine, path string, key *backup.Key) vault.Restoration {
	return vault.Restoration{Paths: m.paths, ConfigFile: m.config, Engine: sqlite, Now: time.Now(),
		Backup: vault.Backup{Key: key, Open: func(ctx context.Context) (io.ReadCloser, int64, error) {
			return shelf.Directory(filepath.Dir(path)).Open(ctx, filepath.Base(path))
		}}}
}

// tree lists the files below a directory.
func tree(t *testing.T, dir string) (all []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			all = append(all, strings.TrimPrefix(path, dir+"/"))
		}
		return err
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	slices.Sort(all)
	return all
}

func TestAClusterComesBack(t *testing.T) {
	seal, key := keys(t)
	from, to := newMachine(t), newMachine(t)
	path := saved(t, from, 700, seal, time.Now().Add(-time.Hour))
	before, at := from.contents(t, sqlite)
	write(t, to.paths.ServerDir()+".incoming/token", "of a restore that the power cut off", 0o600)
	done, err := restoration(to, path, key).Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	after, now := to.contents(t, sqlite)
	if fmt.Sprint(before) != fmt.Sprint(after) || len(after) != 700 {
		t.Errorf("%d records became %d, or others", len(before), len(after))
	}
	if now < at+1_000_000_000+3600*1000 || done.Revision > now {
		t.Errorf("revisions go on at %d, after %d; it says %d", now, at, done.Revision)
	}
	want := []string{"manifests/app/web.yaml", "tls/client-ca.crt", "tls/client-ca.key", "tls/server-ca.crt", "tls/server-ca.key", "tls/service.key", "token"}
	beside := func(name string) bool { return strings.HasPrefix(name, "db/") }
	if got := slices.DeleteFunc(tree(t, to.paths.ServerDir()), beside); !slices.Equal(got, want) {
		t.Errorf("there are %v", got)
	}
	for _, name := range want {
		if read(t, filepath.Join(to.paths.ServerDir(), name)) != read(t, filepath.Join(from.paths.ServerDir(), name)) {
			t.Errorf("%s is another one", name)
		}
	}
	if got := tree(t, filepath.Dir(to.config)); !slices.Equal(got, []string{"config.yaml", "config.yaml.d/more.yaml"}) || len(done.Placed) != 2 {
		t.Errorf("there are %v, and it says %v", got, done.Placed)
	}
	if info, err := os.Stat(to.config); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("the config has another mode: %v, %v", info, err)
	}
	if got := tree(t, filepath.Dir(to.paths.DataDir())); slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, "incoming") }) {
		t.Errorf("something is left: %v", got)
	}
}

// A second restore of the same backup must go on above what the first one gave out.
func TestRevisionsGrowFromRestoreToRestore(t *testing.T) {
	seal, key := keys(t)
	path := saved(t, newMachine(t), 3, seal, time.Now())
	var last int64
	for hour := range 3 {
		m := newMachine(t)
		r := restoration(m, path, key)
		r.Now = time.Now().Add(time.Duration(hour) * time.Hour)
		done, err := r.Run(t.Context())
		if err != nil || done.Revision < last+hourly(hour) {
			t.Errorf("revision %d after %d, %v", done.Revision, last, err)
		}
		last = done.Revision
	}
	r := restoration(newMachine(t), path, key)
	r.Now = time.Unix(0, 0) // no clock
	if done, err := r.Run(t.Context()); err != nil || done.Revision < 1_000_000_000 {
		t.Errorf("with no clock: %+v, %v", done, err)
	}
}

func hourly(n int) int64 { return int64(min(n, 1)) * 3600 * 900 }

func TestAUsedMachine(t *testing.T) {
	seal, key := keys(t)
	path := saved(t, newMachine(t), 5, seal, time.Now())
	m := newMachine(t)
	if err := m.settle(t, 2).Close(); err != nil {
		t.Fatal(err)
	}
	write(t, m.config, "node-name: other\n", 0o600)
	before, files := tree(t, m.paths.DataDir()), read(t, filepath.Join(m.paths.ServerDir(), "tls/server-ca.crt"))
	r := restoration(m, path, key)
	if _, err := r.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "--force") {
		t.Errorf("it is not refused: %v", err)
	}
	if after := tree(t, m.paths.DataDir()); !slices.Equal(before, after) {
		t.Errorf("a refusal changed %v into %v", before, after)
	}
	r.Force = true
	done, err := r.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := tree(t, done.Aside); read(t, filepath.Join(done.Aside, "tls/server-ca.crt")) != files || len(got) != len(before) {
		t.Errorf("of what was there %v is left", got)
	}
	if records, _ := m.contents(t, sqlite); len(records) != 5 {
		t.Errorf("%d records are there", len(records))
	}
	if read(t, m.config) != "node-name: other\n" || read(t, m.config+".from-backup") != "node-name: pi\n" || len(done.Differ) != 1 {
		t.Errorf("the config was not left alone, or the backup's not put beside it: %v", done.Differ)
	}
}

// Whatever is wrong with a backup, nothing is touched.
func TestARefusedBackup(t *testing.T) {
	seal, key := keys(t)
	_, other := keys(t)
	path := saved(t, newMachine(t), 300, seal, time.Now())
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	foreign := func(files ...backup.File) []byte {
		var text strings.Builder
		_, err := backup.Write(&text, seal, backup.Contents{Manifest: backup.Manifest{Revision: 7}, Files: files,
			Records: func(func(engine.Record) error) error { return nil }})
		if err != nil {
			t.Fatal(err)
		}
		return []byte(text.String())
	}
	ca := backup.File{Name: "server/tls/server-ca.crt", Data: []byte(read(t, certtest.New(t).File()))}
	for name, c := range map[string]struct {
		file []byte
		key  *backup.Key
	}{
		"cut off":             {good[:len(good)-1000], key},
		"altered":             {append(slices.Clone(good[:len(good)/2]), good[len(good)/2+1:]...), key},
		"for somebody else":   {good, other},
		"empty":               {nil, key},
		"of no cluster":       {foreign(), key},
		"with a strange file": {foreign(ca, backup.File{Name: "server/data/containerd", Data: []byte("x")}), key},
		"with a cron job":     {foreign(ca, backup.File{Name: "etc/cron.d/x", Data: []byte("x")}), key},
		"with no certificate": {foreign(backup.File{Name: ca.Name, Data: []byte("x")}), key},
	} {
		m := newMachine(t)
		bad := filepath.Join(t.TempDir(), "x.backup")
		write(t, bad, string(c.file), 0o600)
		r := restoration(m, bad, c.key)
		r.Force = true
		r.Ready = func(backup.Manifest, string) error { t.Errorf("%s: it is taken", name); return nil }
		if _, err := r.Run(t.Context()); err == nil {
			t.Errorf("%s: it is restored", name)
		}
		if _, err := os.Stat(m.paths.DataDir()); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: there is %v", name, tree(t, m.paths.DataDir()))
		}
	}
}

// A backup that changes between the two times that it is read, and an engine that cannot be filled, leave what was there.
func TestARestoreThatFailsHalfWay(t *testing.T) {
	seal, key := keys(t)
	path, second := saved(t, newMachine(t), 300, seal, time.Now()), saved(t, newMachine(t), 10, seal, time.Now())
	m := newMachine(t)
	if err := m.settle(t, 2).Close(); err != nil {
		t.Fatal(err)
	}
	before := tree(t, m.paths.DataDir())
	r := restoration(m, path, key)
	r.Force = true
	opened := 0
	r.Open = func(ctx context.Context) (io.ReadCloser, int64, error) {
		if opened++; opened == 2 {
			path = second
		}
		return shelf.Directory(filepath.Dir(path)).Open(ctx, filepath.Base(path))
	}
	if _, err := r.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "another one") {
		t.Errorf("another backup: %v", err)
	}
	if after := tree(t, m.paths.DataDir()); !slices.Equal(before, after) {
		t.Errorf("%v became %v", before, after)
	}
	ctx, stop := context.WithCancel(t.Context())
	r = restoration(m, second, key)
	r.Force = true
	r.Ready = func(backup.Manifest, string) error { stop(); return nil }
	if _, err := r.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
	if after := tree(t, m.paths.DataDir()); !slices.Equal(before, after) {
		t.Errorf("%v became %v", before, after)
	}
}

func TestFilesThatAreTooLarge(t *testing.T) {
	seal, _ := keys(t)
	m := newMachine(t)
	opened := m.settle(t, 1)
	defer func() { _ = opened.Close() }()
	big := filepath.Join(m.paths.StaticDir(), "chart.tgz")
	write(t, big, "", 0o600)
	if err := os.Truncate(big, 40<<20); err != nil {
		t.Fatal(err)
	}
	s := vault.Source{Paths: m.paths, ConfigFile: m.config, Client: opened.Client}
	if _, _, err := s.Make(t.Context(), io.Discard, seal, time.Now()); err == nil || !strings.Contains(err.Error(), "chart.tgz") {
		t.Errorf("got %v", err)
	}
}
