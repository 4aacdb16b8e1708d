package backups

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/skerry-io/skerry/datastore/backup"
	"github.com/skerry-io/skerry/datastore/engine"
	"github.com/skerry-io/skerry/datastore/shelf"
	"github.com/skerry-io/skerry/datastore/vault"
	"github.com/skerry-io/skerry/internal/cli/command"
	"github.com/skerry-io/skerry/internal/config"
	"github.com/skerry-io/skerry/tests/certtest"
)

// skerry runs one of the commands.
func skerry(t *testing.T, args ...string) (out, err string, code int) {
	t.Helper()
	var o, e bytes.Buffer
	env := command.Env{Args: append([]string{"skerry"}, args...), Out: &o, Err: &e, Hostname: func() (string, error) { return "Pi", nil }}
	code = command.Main(t.Context(), env, command.Actions{Backups: command.BackupActions{Make: Make, Verify: Verify, List: List, Identity: Identity,
		Restore: Restore, Migrate: Migrate}})
	return o.String(), e.String(), code
}

func TestAnIdentityIsNeverOverwritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "identity")
	recipient, _, code := skerry(t, "backup", "identity", "--output", file)
	text, err := os.ReadFile(file)
	if err != nil || code != 0 || !strings.HasPrefix(recipient, "age1") || !strings.Contains(string(text), "AGE-SECRET-KEY-") || strings.Contains(recipient, "SECRET") {
		t.Fatalf("it prints %s, and the file is %q, %v", recipient, text, err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v", info, err)
	}
	if _, told, code := skerry(t, "backup", "identity", "--output", file); code == 0 || !strings.Contains(told, "would be lost") {
		t.Errorf("again: %d, %s", code, told)
	}
	if again, err := os.ReadFile(file); err != nil || !bytes.Equal(text, again) {
		t.Error("it was overwritten")
	}
}

// whole are the files that a cluster cannot do without, and more.
func whole(t *testing.T, more ...backup.File) []backup.File {
	t.Helper()
	text, err := os.ReadFile(certtest.New(t).File())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"server-ca.crt", "server-ca.key", "client-ca.crt", "client-ca.key", "service.key"} {
		more = append(more, backup.File{Name: "server/tls/" + name, Mode: 0o600, Data: text})
	}
	return more
}

// sealed is a backup with one key.
func sealed(t *testing.T, seal *backup.Seal, m backup.Manifest, files []backup.File) []byte {
	t.Helper()
	var file bytes.Buffer
	if _, err := backup.Write(&file, seal, backup.Contents{Manifest: m, Files: files, Records: func(each func(engine.Record) error) error {
		return each(engine.Record{Revision: 5, Created: 5, Version: 1, Key: "/a", Value: []byte("b")})
	}}); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

// What verify praises has all that a restore asks for.
func TestVerifyAsksWhatARestoreAsks(t *testing.T) {
	dir := t.TempDir()
	identity, at := filepath.Join(dir, "identity"), filepath.Join(dir, "x.backup")
	recipient, _, _ := skerry(t, "backup", "identity", "--output", identity)
	seal, err := backup.NewSeal("", []string{strings.TrimSpace(recipient)})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		files []backup.File
		want  string // "" when it is good
	}{
		"all":                                {whole(t), ""},
		"no key of tokens":                   {whole(t)[:4], "the backup lacks tls/service.key"},
		"nothing":                            {nil, "the backup lacks"},
		"what is no part of one":             {whole(t, backup.File{Name: "etc/cron.d/x"}), "no file of a cluster"},
		"settings that nobody reads":         {whole(t, backup.File{Name: "etc/config.yaml", Data: []byte("node-ip: [a, ")}), "read the settings in the backup"},
		"settings of a cluster to come":      {whole(t, backup.File{Name: "server/settings.yaml", Data: []byte("cluster-cidr: the moon\n")}), "use skerry 1.0.0 or a later one"},
		"settings of a server and a cluster": {whole(t, backup.File{Name: "etc/config.yaml", Data: []byte("cluster-cidr: 10.9.0.0/16\n")}, backup.File{Name: "server/settings.yaml", Data: []byte("cluster-cidr: 10.8.0.0/16\n")}), ""},
	} {
		if err := os.WriteFile(at, sealed(t, seal, backup.Manifest{Revision: 77, Version: "1.0.0"}, c.files), 0o600); err != nil {
			t.Fatal(err)
		}
		out, told, code := skerry(t, "backup", "verify", "-i", identity, at)
		if c.want == "" && (code != 0 || !strings.Contains(out, "a cluster can be restored from it")) {
			t.Errorf("%s: %d, %s %s", name, code, out, told)
		}
		if c.want != "" && (code != 1 || out != "" || !strings.Contains(told, c.want) || !strings.Contains(told, "to cure")) {
			t.Errorf("%s: %d, %s %s", name, code, out, told)
		}
	}
}

func TestListAndVerify(t *testing.T) {
	dir := t.TempDir()
	identity := filepath.Join(dir, "identity")
	recipient, _, _ := skerry(t, "backup", "identity", "--output", identity)
	seal, err := backup.NewSeal("", []string{strings.TrimSpace(recipient)})
	if err != nil {
		t.Fatal(err)
	}
	m := backup.Manifest{Made: time.Unix(1_800_000_000, 0).UTC(), Version: "1.0.0", Cluster: "0123456789abcdef", Server: "pi", Engine: "etcd", Revision: 77}
	name := shelf.Name(m.Cluster, m.Made, true)
	if err := os.WriteFile(filepath.Join(dir, name), sealed(t, seal, m, whole(t)), 0o600); err != nil {
		t.Fatal(err)
	}
	out, _, code := skerry(t, "backup", "list", "--from", dir, "-o", "json")
	var all []listed
	if err := json.Unmarshal([]byte(out), &all); err != nil || code != 0 || len(all) != 1 || all[0].Name != name || !all[0].Scheduled || !all[0].Made.Equal(m.Made) {
		t.Errorf("it lists %s, %v", out, err)
	}
	if out, _, _ := skerry(t, "backup", "list", "--from", dir); !strings.Contains(out, "schedule") || !strings.Contains(out, name) {
		t.Errorf("it lists %s", out)
	}
	if out, _, _ := skerry(t, "backup", "list", "--from", filepath.Join(dir, "none")); !strings.Contains(out, "there are no backups") {
		t.Errorf("of nothing it lists %s", out)
	}
	if out, _, code := skerry(t, "backup", "verify", "-i", identity, filepath.Join(dir, name)); code != 0 || !strings.Contains(out, "etcd, revision 77") || !strings.Contains(out, "1 keys") {
		t.Errorf("it says %s", out)
	}
	if out, told, code := skerry(t, "backup", "verify", "-i", identity, "--backup-dir", dir, name); code != 0 || !strings.Contains(out, "revision 77") {
		t.Errorf("by its name alone: %s %s", out, told)
	}
	out, _, _ = skerry(t, "backup", "verify", "-i", identity, "-o", "json", filepath.Join(dir, name))
	var told verified
	if err := json.Unmarshal([]byte(out), &told); err != nil || told.Revision != 77 || told.Keys != 1 {
		t.Errorf("it says %s, %v", out, err)
	}
	if err := os.Truncate(filepath.Join(dir, name), 100); err != nil {
		t.Fatal(err)
	}
	if out, told, code := skerry(t, "backup", "verify", "-i", identity, filepath.Join(dir, name)); code != 1 || out != "" || !strings.Contains(told, "damaged") {
		t.Errorf("it says %s and %s", out, told)
	}
}

func TestWhatIsRefusedAtOnce(t *testing.T) {
	dir := t.TempDir()
	phrase := filepath.Join(dir, "phrase")
	if err := os.WriteFile(phrase, []byte("long enough it is\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"nothing that seals":   {[]string{"backup", "-o", dir, "-d", dir}, "give a file that holds a passphrase"},
		"no cluster":           {[]string{"backup", "-o", dir, "-d", dir, "--passphrase-file", phrase}, "there is no cluster"},
		"nothing that opens":   {[]string{"backup", "verify", "x"}, "--identity-file"},
		"no backup":            {[]string{"backup", "verify", "--passphrase-file", phrase, dir + "/x.backup"}, "backup list"},
		"a directory":          {[]string{"backup", "verify", "--passphrase-file", phrase, dir}, "add the name of one"},
		"standard input":       {[]string{"backup", "verify", "--passphrase-file", phrase, "--", "-"}, "write it to a file first"},
		"no credentials":       {[]string{"backup", "list", "--from", "s3://b/f"}, "AWS_ACCESS_KEY_ID"},
		"no engine to restore": {[]string{"restore", "-d", dir, "--passphrase-file", phrase, "--to", "nonsense", dir + "/x.backup"}, "no engine that is known"},
		"no engine":            {[]string{"migrate", "-d", dir}, "sqlite, etcd, or the address"},
		"the same engine":      {[]string{"migrate", "-d", dir, "--to", "sqlite"}, "the datastore is sqlite already"},
		"no datastore":         {[]string{"migrate", "-d", dir, "--to", "etcd"}, "there is no datastore"},
		"no backup to restore": {[]string{"restore", "-d", dir, "--passphrase-file", phrase}, "restore BACKUP"},
	} {
		if _, told, code := skerry(t, c.args...); code == 0 || !strings.Contains(told, c.want) || !strings.Contains(told, "to cure") {
			t.Errorf("%s: %d, %s", name, code, told)
		}
	}
}

func TestWhichEngineIsFilled(t *testing.T) {
	here, nowhere := filepath.Join(t.TempDir(), "config.yaml"), filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(here, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	inBackup := func(text string) []backup.File {
		return []backup.File{{Name: "etc/config.yaml", Mode: 0o600, Data: []byte(text)}}
	}
	const sql = "postgres://skerry:hidden@db/k"
	for name, c := range map[string]struct {
		flags  string
		here   string // the config file on this machine
		engine string // that the backup is of
		files  []backup.File
		want   string
		advice string
	}{
		"nothing is said":                {engine: "sqlite", want: "sqlite"},
		"a backup of etcd":               {engine: "etcd", want: "etcd"},
		"a backup of a database":         {engine: "postgres", want: "sqlite", advice: "without datastore-endpoint"},
		"settings in the backup":         {engine: "sqlite", files: inBackup("datastore-endpoint: " + sql + "\n"), want: "postgres at db/k"},
		"several servers in the backup":  {engine: "sqlite", files: inBackup("server: https://other:6443\n"), want: "etcd"},
		"settings here":                  {flags: "--cluster-init", engine: "sqlite", want: "etcd"},
		"a flag, and settings in it":     {flags: "--datastore-endpoint " + sql, engine: "postgres", files: inBackup("node-name: pi\n"), want: "postgres at db/k"},
		"an address of another machine":  {engine: "sqlite", files: inBackup("node-ip: [10.0.0.1, 'fd00::1']\n"), want: "sqlite", advice: "node-ip is fd00::1"},
		"settings here and in it":        {here: here, engine: "sqlite", files: inBackup("cluster-init: true\n"), want: "sqlite"},
		"asked for":                      {flags: "--to sqlite", engine: "etcd", want: "sqlite"},
		"asked for, in another place":    {flags: "--to sqlite --data-dir /x", files: inBackup("cluster-init: true\n"), want: "sqlite", advice: "remove cluster-init"},
		"asked for, against the setting": {flags: "--to sqlite", files: inBackup("cluster-init: true\n"), want: "sqlite", advice: "remove cluster-init"},
		"instead of the database":        {flags: "--to etcd", files: inBackup("datastore-endpoint: " + sql + "\n"), want: "etcd", advice: "remove datastore-endpoint"},
		"a database asked for":           {flags: "--to " + sql, want: "postgres at db/k", advice: "set datastore-endpoint"},
		"the database that is set":       {flags: "--to " + sql, files: inBackup("datastore-endpoint: " + sql + "\n"), want: "postgres at db/k"},
	} {
		if c.here == "" {
			c.here = nowhere
		}
		settings, err := (&vault.Checked{Files: c.files}).Settings(t.TempDir(), c.here)
		if err != nil {
			t.Fatal(err)
		}
		choice := choice{has: func(ip netip.Addr) bool { return ip.String() == "10.0.0.1" }, flags: append(strings.Fields(c.flags), "--advertise-address", "10.0.0.1"), sources: config.Sources{Hostname: func() (string, error) { return "pi", nil }}}
		if err := choice.make(backup.Manifest{Engine: c.engine}, settings); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := choice.at("/x"); got.String() != c.want || got.Dir != "/x" || !strings.Contains(choice.advice, c.advice) || (c.advice == "") != (choice.advice == "") {
			t.Errorf("%s: %s, and the advice is %q", name, got, choice.advice)
		}
	}
}

// A cluster that is in place is told as one, also when a file beside it could not be written.
func TestWhatARestoreTells(t *testing.T) {
	for _, unplaced := range []error{nil, errors.Join(errors.New("first"), errors.New("second"))} {
		var text bytes.Buffer
		if err := tell(&text, &vault.Restored{Unplaced: unplaced}, &choice{}); err != nil {
			t.Error(err)
		}
		if told := text.String(); !strings.Contains(told, "is restored") || strings.Contains(told, "not all settings") != (unplaced != nil) ||
			strings.Contains(told, "first; second\n") != (unplaced != nil) {
			t.Errorf("of %v it tells %s", unplaced, told)
		}
	}
}
