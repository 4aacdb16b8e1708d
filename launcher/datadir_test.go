package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDataDir(t *testing.T) {
	etc := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(etc, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	config := write("config.yaml", "token: x\ndata-dir: /from/file # why\n  data-dir: /nested\n")
	quoted := write("quoted.yaml", "\"data-dir\": \"/with # mark\"\n")
	overruled := write("overruled.yaml", "data-dir: /below\n")
	write("overruled.yaml.d/10-a.yaml", "data-dir: /a\n")
	write("overruled.yaml.d/20-b.yaml", "data-dir: '/b'\n")
	write("overruled.yaml.d/30-c.txt", "data-dir: /c\n")

	for _, c := range []struct{ name, args, env, config, want string }{
		{"nothing said", "server", "", "/none", "/var/lib/skerry"},
		{"a flag", "server --data-dir /x", "", config, "/x"},
		{"a flag with =", "server --data-dir=/x", "/env", config, "/x"},
		{"a short flag", "server -d /x", "", config, "/x"},
		{"the last flag counts", "server -d /x -d /y", "", config, "/y"},
		{"environment over file", "server", "/env", config, "/env"},
		{"file", "server", "", config, "/from/file"},
		{"file named by a flag", "server --config " + quoted, "", config, "/with # mark"},
		{"file named by a short flag", "-c=" + quoted + " server", "", config, "/with # mark"},
		{"drop-ins, the last one counts", "server", "", overruled, "/b"},
		{"flags of kubectl are its own", "kubectl run -d /x --data-dir /y", "", config, "/from/file"},
		{"a flag before kubectl is ours", "--data-dir /x kubectl get -d /y", "", config, "/x"},
		{"a flag without a value", "server --data-dir", "", config, "/from/file"},
		{"after --", "server -- -d /x", "", config, "/from/file"},
	} {
		env := map[string]string{"SKERRY_DATA_DIR": c.env, "SKERRY_CONFIG_FILE": c.config}
		got, err := dataDir(append([]string{"skerry"}, strings.Fields(c.args)...), func(k string) string { return env[k] })
		if err != nil || got != c.want {
			t.Errorf("%s: got %q (%v), want %q", c.name, got, err, c.want)
		}
	}
}

func TestDataDirOfAMultiCallName(t *testing.T) {
	got, err := dataDir([]string{"/usr/local/bin/kubectl", "-d", "/x"}, func(string) string { return "" })
	if err != nil || got != defaultDataDir {
		t.Errorf("got %q (%v)", got, err)
	}
}

func TestDataDirIsAbsolute(t *testing.T) {
	t.Chdir(t.TempDir())
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	got, err := dataDir([]string{"skerry", "-d", "state"}, func(string) string { return "" })
	if err != nil || got != filepath.Join(here, "state") {
		t.Errorf("got %q (%v)", got, err)
	}
}

func TestStores(t *testing.T) {
	env := func(pairs ...string) func(string) string {
		return func(k string) string {
			for i := 0; i < len(pairs); i += 2 {
				if pairs[i] == k {
					return pairs[i+1]
				}
			}
			return ""
		}
	}
	for _, c := range []struct {
		name string
		uid  int
		env  func(string) string
		want string
	}{
		{"root has no cache", 0, env("HOME", "/home/x"), "/v/data"},
		{"home", 1000, env("HOME", "/home/x"), "/v/data /home/x/.cache/skerry/data"},
		{"cache directory", 1000, env("HOME", "/home/x", "XDG_CACHE_HOME", "/c"), "/v/data /c/skerry/data"},
		{"no home", 1000, env(), "/v/data"},
	} {
		var got []string
		for _, s := range stores("/v", c.uid, c.env) {
			got = append(got, s.Dir)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: got %v, want %s", c.name, got, c.want)
		}
	}
}
