package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skerry-io/skerry/internal/config"
)

// server is what a command line and a config file make of the settings.
func server(t *testing.T, file string, args ...string) config.Server {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	src := config.Sources{Hostname: func() (string, error) { return "pi", nil }}
	s, err := config.Load[config.Server](src, append([]string{"--config", path}, args...))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// alike does not tell an empty list from none.
func alike(a, b config.Common) bool { return fmt.Sprint(a) == fmt.Sprint(b) }

// Whatever a setting is written as, its file leads to the same.
func TestCommonSettingsAreWhatTheirFileSays(t *testing.T) {
	for _, args := range [][]string{nil, {"--service-cidr", "10.50.0.0/16,fd00:50::/112", "--cluster-cidr", "10.51.0.0/16,fd00:51::/56", "--cluster-domain", "Edge.Local.", "--disable", "metrics,helm",
		"--secrets-encryption=false", "--kube-apiserver-arg", "--audit-log-path=a, b: c", "--kube-apiserver-arg", "v=2", "--https-listen-port", "7443", "--tls-san", "null,true",
		"--servicelb-pool", "192.0.2.0/28,192.0.2.32-192.0.2.40", "--node-certificate-lifetime", "240h", "--service-node-port-range", "31000-31999"}} {
		want := server(t, "", args...).Common
		text, err := want.File()
		if err != nil {
			t.Fatal(err)
		}
		got, err := config.ReadCommon(text)
		if err != nil || !alike(got, want) {
			t.Errorf("of %v there is %+v, %v", want, got, err)
		}
		if text, err := got.Beyond(filepath.Join(t.TempDir(), "none.yaml")); err != nil || (len(text) == 0) != (len(args) == 0) {
			t.Errorf("beyond nothing is %s, %v", text, err)
		}
		if again := server(t, string(text)); !alike(again.Common, want) {
			t.Errorf("a server reads %+v, not %+v", again.Common, want)
		}
	}
}

func TestWhatAConfigFileLacksOrSaysOtherwise(t *testing.T) {
	common := server(t, "", "--cluster-cidr", "10.51.0.0/16", "--cluster-domain", "edge.local", "--tls-san", "a,b").Common
	for name, c := range map[string]struct{ file, beyond, against string }{
		"nothing":             {"", "tls-san:\n    - a\n    - b\ncluster-cidr:\n    - 10.51.0.0/16\ncluster-domain: edge.local\n", ""},
		"one of them":         {"cluster-domain: EDGE.local\nnode-name: pi\n", "tls-san:\n    - a\n    - b\ncluster-cidr:\n    - 10.51.0.0/16\n", ""},
		"all":                 {"cluster-cidr: 10.51.0.0/16\ncluster-domain: edge.local\ntls-san: [a]\ntls-san+: b\n", "", ""},
		"another one":         {"node-name: pi\ncluster-cidr: 10.99.0.0/16\n", "cluster-cidr:\n    - 10.51.0.0/16\n", "cluster-cidr is 10.99.0.0/16 in config.yaml:2, and not 10.51.0.0/16"},
		"what is nothing":     {"disable: [metrics]\n", "disable: []\n", "disable is metrics in config.yaml:1, and not empty"},
		"what an agent knows": {"server: https://x:6443\nno-such-key: 1\n", "cluster-domain: edge.local\n", ""},
	} {
		path := filepath.Join(t.TempDir(), "config.yaml")
		if name == "all" { // which is two files, as no name may stand twice in one
			c.file, _, _ = strings.Cut(c.file, "tls-san+")
			if err := os.Mkdir(path+".d", 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(path+".d", "more.yaml"), []byte("tls-san+: b\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(path, []byte(c.file), 0o600); err != nil {
			t.Fatal(err)
		}
		beyond, err := common.Beyond(path)
		if err != nil || !strings.Contains(string(beyond), c.beyond) || (c.beyond == "") != (len(beyond) == 0) {
			t.Errorf("%s: beyond is\n%s, %v", name, beyond, err)
		}
		against, err := common.Against(path)
		if got := strings.ReplaceAll(strings.Join(against, "\n"), filepath.Dir(path)+"/", ""); err != nil || got != c.against {
			t.Errorf("%s: against is %s, %v", name, got, err)
		}
	}
}

func TestCommonSettingsThatCannotBeRead(t *testing.T) {
	if c, err := config.ReadCommon([]byte("cluster-domain: a.b\nmoon-cidr: 10.42.0.0/16\n")); err != nil || c.ClusterDomain != "a.b" {
		t.Errorf("of another release there is %+v, %v", c, err)
	}
	for _, text := range []string{"cluster-cidr: nonsense\n", "a: b: c"} {
		if _, err := config.ReadCommon([]byte(text)); err == nil || !strings.Contains(err.Error(), "settings.yaml:1") {
			t.Errorf("%q: %v", text, err)
		}
	}
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte("tls-san: {a: b}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := (config.Common{}).Beyond(path); err == nil || !strings.Contains(err.Error(), "config.yaml:1") {
		t.Errorf("it is read: %v", err)
	}
}
