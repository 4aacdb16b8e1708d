package target

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const goodKubeconfig = `apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://127.0.0.1:6443"}}]
`

// place is a directory with a fallback kubeconfig and a home.
type place struct {
	t   *testing.T
	dir string
	env map[string]string
}

func newPlace(t *testing.T, files ...string) place {
	p := place{t: t, dir: t.TempDir(), env: make(map[string]string)}
	p.env["HOME"] = p.path("home")
	for _, name := range files {
		p.write(name, goodKubeconfig)
	}
	return p
}

func (p place) path(name string) string { return filepath.Join(p.dir, name) }

func (p place) write(name, text string) {
	p.t.Helper()
	if err := os.MkdirAll(filepath.Dir(p.path(name)), 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(p.path(name), []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

func (p place) choose(args ...string) (string, error) {
	return kubeconfig(func(name string) string { return p.env[name] }, args, p.path("skerry.yaml"))
}

func TestKubeconfigChoice(t *testing.T) {
	for name, c := range map[string]struct {
		files []string
		env   string
		args  []string
		ours  bool
	}{
		"nobody says":        {files: []string{"skerry.yaml"}, args: []string{"get", "pods"}, ours: true},
		"one at home":        {files: []string{"home/.kube/config"}, args: []string{"get", "pods"}},
		"both":               {files: []string{"skerry.yaml", "home/.kube/config"}, args: []string{"get", "pods"}, ours: true},
		"a variable":         {files: []string{"skerry.yaml", "other"}, env: "other", args: []string{"get", "pods"}},
		"a flag":             {files: []string{"skerry.yaml", "other"}, args: []string{"get", "pods", "--kubeconfig", "other"}},
		"a flag with =":      {files: []string{"other"}, args: []string{"--kubeconfig=other", "get", "pods"}},
		"none but a server":  {args: []string{"-s", "https://10.0.0.1", "get", "pods"}, ours: true},
		"none but not asked": {args: []string{"version", "--client"}, ours: true},
		"help":               {args: []string{"get", "-h"}, ours: true},
		"no words":           {args: nil, ours: true},
		"offline command":    {args: []string{"-n", "x", "config", "view"}, ours: true},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t, c.files...)
			if c.env != "" {
				p.env["KUBECONFIG"] = p.path("missing") + ":" + p.path(c.env)
			}
			args := slices.Clone(c.args)
			for i := range args {
				args[i] = strings.Replace(args[i], "other", p.path("other"), 1)
			}
			got, err := p.choose(args...)
			if err != nil || (got == p.path("skerry.yaml")) != c.ours {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

func TestKubeconfigTrouble(t *testing.T) {
	p := newPlace(t)
	check := func(name, want string, args ...string) {
		t.Helper()
		if _, err := p.choose(args...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q in it", name, err, want)
		}
	}
	check("no cluster here", "file does not exist; to cure: start `skerry server` here", "get", "pods")
	check("a word behind -- is no flag", "file does not exist", "exec", "p", "--", "x", "--help")
	p.write("skerry.yaml", "apiVersion: [")
	check("damaged", "it is damaged", "get", "pods")
	p.env["KUBECONFIG"] = p.path("a") + ":" + p.path("b")
	check("all of a list missing", "file does not exist", "get", "pods")
	p.env["KUBECONFIG"] = p.dir
	check("a directory", "is a directory", "get", "pods")
	if os.Getuid() != 0 {
		p.write("private", goodKubeconfig)
		if err := os.Chmod(p.path("private"), 0); err != nil {
			t.Fatal(err)
		}
		p.env["KUBECONFIG"] = p.path("private")
		check("unreadable", "permission denied; to cure: run it as root", "get", "pods")
	}
}

func TestCrictlIsFoundBesideTheProgram(t *testing.T) {
	p := newPlace(t, "skerry")
	if _, err := Crictl(p.path("skerry")); err == nil || !strings.Contains(err.Error(), "file does not exist; to cure:") {
		t.Errorf("missing: %v", err)
	}
	if err := os.Symlink("skerry", p.path("crictl")); err != nil {
		t.Fatal(err)
	}
	if _, err := Crictl(p.path("skerry")); err == nil || !strings.Contains(err.Error(), "call itself") {
		t.Errorf("a link to itself: %v", err)
	}
	if err := os.Remove(p.path("crictl")); err != nil {
		t.Fatal(err)
	}
	p.write("crictl", "#!/bin/sh\n")
	if got, err := Crictl(p.path("skerry")); err != nil || got != p.path("crictl") {
		t.Errorf("%s %v", got, err)
	}
}

func TestCrictlEnviron(t *testing.T) {
	for name, c := range map[string]struct {
		environ []string
		want    string
	}{
		"nobody says":       {nil, "CONTAINER_RUNTIME_ENDPOINT=unix:///run/skerry/containerd/containerd.sock"},
		"an endpoint":       {[]string{"CONTAINER_RUNTIME_ENDPOINT=unix:///x"}, "CONTAINER_RUNTIME_ENDPOINT=unix:///x"},
		"a config file":     {[]string{"CRI_CONFIG_FILE=/x"}, "CRI_CONFIG_FILE=/x"},
		"other things stay": {[]string{"CRI_CONFIG_FILE=/x", "A=b"}, "CRI_CONFIG_FILE=/x A=b"},
	} {
		t.Run(name, func(t *testing.T) {
			getenv := func(name string) string {
				for _, entry := range c.environ {
					if value, ok := strings.CutPrefix(entry, name+"="); ok {
						return value
					}
				}
				return ""
			}
			if got := strings.Join(CrictlEnviron(c.environ, getenv), " "); got != c.want {
				t.Errorf("got %s", got)
			}
		})
	}
}
