package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/skerry-io/skerry/internal/config"
	"github.com/skerry-io/skerry/internal/fault"
)

// host is where settings come from in a test: a config file with drop-ins in a directory of its own.
type host struct {
	t    *testing.T
	dir  string
	src  config.Sources
	args []string
}

func newHost(t *testing.T, files map[string]string) *host {
	h := &host{t: t, dir: t.TempDir()}
	h.src.Hostname = func() (string, error) { return "Pi4", nil }
	for name, text := range files {
		h.write(name, text)
	}
	h.src.Environ = []string{"PATH=/bin", "SKERRY_CONFIG_FILE=" + h.path("config.yaml")}
	if _, ok := files["config.yaml"]; !ok {
		h.write("config.yaml", "")
	}
	return h
}

func (h *host) path(name string) string { return filepath.Join(h.dir, name) }

func (h *host) write(name, text string) {
	h.t.Helper()
	if err := os.MkdirAll(filepath.Dir(h.path(name)), 0o755); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(h.path(name), []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

func (h *host) load() config.Server {
	h.t.Helper()
	cfg, err := config.Load[config.Server](h.src, h.args)
	if err != nil {
		h.t.Fatalf("unexpected: %v", err)
	}
	return cfg
}

// problems loads and gives the messages, with the test's directory cut off.
func (h *host) problems() []string {
	h.t.Helper()
	_, err := config.Load[config.Server](h.src, h.args)
	return messages(h.t, err, h.dir)
}

func messages(t *testing.T, err error, dir string) []string {
	t.Helper()
	var problems *fault.Problems
	if !errors.As(err, &problems) {
		t.Fatalf("not a list of problems: %v", err)
	}
	var all []string
	for _, p := range problems.List() {
		if p.Where == "" || p.Cure() == "" {
			if p.Key != "" || !strings.Contains(p.What(), "argument") {
				t.Errorf("no place or no cure: %v", p)
			}
		}
		all = append(all, strings.ReplaceAll(p.Error(), dir+"/", ""))
	}
	return all
}

func TestDefaults(t *testing.T) {
	cfg := newHost(t, nil).load()
	if cfg.NodeName != "pi4" {
		t.Errorf("node name %q: a host name with capitals must give a lower case one", cfg.NodeName)
	}
	if len(cfg.ClusterDNS) != 1 || cfg.ClusterDNS[0].String() != "10.43.0.10" {
		t.Errorf("cluster-dns %v", cfg.ClusterDNS)
	}
	if cfg.HTTPSListenPort != 6443 || cfg.LBServerPort != 6444 || cfg.WriteKubeconfigMode != 0o600 {
		t.Errorf("%+v", cfg)
	}
	if cfg.ServiceNodePortRange != (config.PortRange{First: 30000, Last: 32767}) || cfg.Snapshotter != "overlayfs" {
		t.Errorf("%+v", cfg)
	}
}

func TestANodeKeepsItsName(t *testing.T) {
	kept := func(dir string) (string, bool) { return "before", dir == "/var/lib/skerry/agent" }
	for name, c := range map[string]struct {
		file, want string
	}{
		"that it has joined under":              {"", "before"},
		"unless it is told another":             {"node-name: told", "told"},
		"and another data directory is another": {"data-dir: /srv/skerry", "pi4"},
	} {
		h := newHost(t, map[string]string{"config.yaml": c.file})
		h.src.KeptName = kept
		if got := h.load().NodeName; got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// TestEveryPartIsCompleted: a command's settings are made of parts, and each part completes what is its own.
func TestEveryPartIsCompleted(t *testing.T) {
	src := config.Sources{Hostname: func() (string, error) { return "Pi", nil }}
	c, err := config.LoadBeside[config.Restore](src, []string{"--data-dir", "/srv/x/"})
	if err != nil || c.NodeName != "pi" || c.DataDir != "/srv/x" {
		t.Errorf("name %q, directory %q, %v", c.NodeName, c.DataDir, err)
	}
}

func TestLaterSourcesWin(t *testing.T) {
	h := newHost(t, map[string]string{
		"config.yaml":           "node-name: file\nhttps-listen-port: 1\ncluster-domain: file.local\nlb-server-port: 7000\n",
		"config.yaml.d/b.yaml":  "cluster-domain: b.local\nlb-server-port: 7002\n",
		"config.yaml.d/a.yaml":  "cluster-domain: a.local\nlb-server-port: 7001\n",
		"config.yaml.d/c.yml":   "broken: [",
		"config.yaml.d/.d.yaml": "broken: [",
	})
	h.src.Environ = append(h.src.Environ, "SKERRY_LB_SERVER_PORT=7003", "SKERRY_HTTPS_LISTEN_PORT=2", "SKERRY_NODE_NAME=")
	h.args = []string{"--https-listen-port=7443"}
	cfg := h.load()
	if cfg.NodeName != "file" || cfg.ClusterDomain != "b.local" || cfg.LBServerPort != 7003 || cfg.HTTPSListenPort != 7443 {
		t.Errorf("%s %s %d %d", cfg.NodeName, cfg.ClusterDomain, cfg.LBServerPort, cfg.HTTPSListenPort)
	}
}

func TestLists(t *testing.T) {
	files := map[string]string{
		"config.yaml":             "tls-san: [a.example, b.example]\nkubelet-arg: ['--v=2', 'feature-gates=A=true,B=true']\n",
		"config.yaml.d/more.yaml": "tls-san+: c.example, d.example\nkubelet-arg+:\n- max-pods=50\n",
	}
	for name, c := range map[string]struct {
		env  []string
		args []string
		want string
	}{
		"a drop-in with + appends":    {want: "a.example,b.example,c.example,d.example"},
		"a variable replaces":         {env: []string{"SKERRY_TLS_SAN=x.example,y.example"}, want: "x.example,y.example"},
		"a flag replaces and repeats": {args: []string{"--tls-san", "1.example", "--tls-san=2.example,3.example"}, want: "1.example,2.example,3.example"},
		"an empty flag empties":       {args: []string{"--tls-san", ""}, want: ""},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, files)
			h.src.Environ, h.args = append(h.src.Environ, c.env...), c.args
			cfg := h.load()
			if got := strings.Join(cfg.TLSSAN, ","); got != c.want {
				t.Errorf("got %s", got)
			}
			if want := []string{"v=2", "feature-gates=A=true,B=true", "max-pods=50"}; !slices.Equal(cfg.KubeletArg, want) {
				t.Errorf("kubelet-arg %q", cfg.KubeletArg)
			}
		})
	}
}

func TestValuesOfEveryType(t *testing.T) {
	h := newHost(t, map[string]string{"config.yaml": `
debug: true
disable-agent: "false"
node-ip: [192.168.1.5, "2001:db8::5"]
cluster-cidr: 10.1.0.0/16,fd01::/56
service-cidr: [10.2.0.0/16, "fd02::/112"]
service-node-port-range: 20000-21000
write-kubeconfig-mode: 0644
node-label: &l [disk=ssd]
node-taint: [dedicated=db:NoSchedule, "x:NoExecute"]
token: abc
data-dir: /srv/skerry/
`})
	h.args = []string{"-o", "/tmp/k.yaml", "--disable-kube-proxy"}
	cfg := h.load()
	if !cfg.Debug || cfg.DisableAgent || !cfg.DisableKubeProxy || cfg.WriteKubeconfig != "/tmp/k.yaml" || cfg.WriteKubeconfigMode != 0o644 {
		t.Errorf("%+v", cfg)
	}
	if len(cfg.NodeIP) != 2 || len(cfg.ClusterDNS) != 2 || cfg.ClusterDNS[1].String() != "fd02::a" || cfg.Token.Reveal() != "abc" {
		t.Errorf("%+v", cfg)
	}
	if cfg.DataDir != "/srv/skerry" {
		t.Errorf("data-dir %q", cfg.DataDir)
	}
}

func TestTokenFile(t *testing.T) {
	h := newHost(t, map[string]string{"token": "abc\n"})
	h.args = []string{"--token-file", h.path("token")}
	if got := h.load().Token.Reveal(); got != "abc" {
		t.Errorf("token %q", got)
	}
}

func TestExplainNamesTheSource(t *testing.T) {
	h := newHost(t, map[string]string{
		"config.yaml":          "token: hunter2\ntls-san: a.example\n",
		"config.yaml.d/a.yaml": "\ntls-san+: b.example\n",
	})
	h.src.Environ = append(h.src.Environ, "SKERRY_DEBUG=1")
	h.args = []string{"--node-name", "pi"}
	_, values, err := config.Explain[config.Server](h.src, h.args)
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]string)
	for _, v := range values {
		got[v.Key] = strings.ReplaceAll(v.Text+" from "+v.Origin, h.dir+"/", "")
	}
	for key, want := range map[string]string{
		"token":             "(secret) from config.yaml:1",
		"tls-san":           "a.example,b.example from config.yaml:2, config.yaml.d/a.yaml:2",
		"debug":             "true from $SKERRY_DEBUG",
		"node-name":         "pi from --node-name",
		"https-listen-port": "6443 from default",
		"bind-address":      "0.0.0.0 from default",
		"advertise-address": " from default",
	} {
		if got[key] != want {
			t.Errorf("%s: got %q, want %q", key, got[key], want)
		}
	}
}

func TestLoadBesideOtherSettings(t *testing.T) {
	h := newHost(t, map[string]string{"config.yaml": "data-dir: /srv/skerry\nnot-known: 1\ncluster-cidr: nonsense\n"})
	h.src.Environ = append(h.src.Environ, "SKERRY_CLUSTER_CIDR=x", "SKERRY_NONSENSE=x")
	cfg, err := config.LoadBeside[config.Reset](h.src, []string{"-y"})
	if err != nil || cfg.DataDir != "/srv/skerry" || !cfg.Yes {
		t.Errorf("%+v %v", cfg, err)
	}
	h.write("config.yaml", "data-dir: [")
	if _, err := config.LoadBeside[config.Reset](h.src, nil); err == nil {
		t.Error("a broken file may name another data directory: it must not be skipped silently")
	}
	cfg, err = config.LoadBeside[config.Reset](h.src, []string{"--data-dir", "/srv/other"})
	if err != nil || cfg.DataDir != "/srv/other" {
		t.Errorf("with --data-dir no file is needed: %+v %v", cfg, err)
	}
}

func TestInstallTakesVariablesAndFlagsOnly(t *testing.T) {
	src := config.Sources{Environ: []string{"INSTALL_SKERRY_EXEC=agent", "INSTALL_SKERRY_VERSION=1", "SKERRY_TOKEN=x", "SKERRY_CONFIG_FILE=/nope"}}
	cfg, err := config.LoadBeside[config.Install](src, []string{"--skip-start"})
	if err != nil || cfg.Exec != "agent" || !cfg.SkipStart || cfg.BinDir != "/usr/local/bin" {
		t.Errorf("%+v %v", cfg, err)
	}
}

func FuzzYAML(f *testing.F) {
	for _, seed := range []string{"", "a: b", "&a [*a]", "? [x]\n: y", "<<: *x", "a: !!binary x", "- - -", "\t", "a: |\n  b", "tls-san: &a [*a, *a]", "%YAML 9\n---\n", "\xff\xfe"} {
		f.Add(seed)
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(dir, "c.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		src := config.Sources{Hostname: func() (string, error) { return "pi", nil }}
		_, err := config.Load[config.Server](src, []string{"--config", path})
		if err != nil && strings.Contains(err.Error(), "panic") {
			t.Errorf("%q: %v", text, err)
		}
	})
}
