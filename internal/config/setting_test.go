package config_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"testing"

	"github.com/skerry-io/skerry/internal/config"
)

func everySetting() map[string][]config.Setting {
	return map[string][]config.Setting{
		"server":       config.Settings[config.Server](),
		"agent":        config.Settings[config.Agent](),
		"reset":        config.Settings[config.Reset](),
		"uninstall":    config.Settings[config.Uninstall](),
		"check-config": config.Settings[config.CheckConfig](),
		"install":      config.Settings[config.Install](),
	}
}

func TestEverySettingIsDescribedOnce(t *testing.T) {
	for command, settings := range everySetting() {
		seen := make(map[string]bool)
		for _, s := range settings {
			if s.Help == "" {
				t.Errorf("%s: %s has no help", command, s.Key)
			}
			if !s.Switch && s.As == "" {
				t.Errorf("%s: %s does not say what its value is", command, s.Key)
			}
			for _, name := range []string{s.Key, s.Short, s.Env} {
				if name != "" && seen[name] {
					t.Errorf("%s: the name %s is taken twice", command, name)
				}
				seen[name] = true
			}
		}
	}
}

func TestWhatIsNamedLikeASecretIsOne(t *testing.T) {
	secret := regexp.MustCompile(`token|secret|password|passphrase|seal|credential|key$`)
	for command, settings := range everySetting() {
		for _, s := range settings {
			if secret.MatchString(s.Key) && !strings.HasSuffix(s.Key, "-file") && !s.Secret && !s.Switch {
				t.Errorf("%s: %s is not a Secret", command, s.Key)
			}
		}
	}
}

func TestSecretIsNeverPrinted(t *testing.T) {
	cfg := config.Server{Node: config.Node{Token: "hunter2"}}
	asJSON, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "token", cfg.Token)
	for name, text := range map[string]string{
		"%v": fmt.Sprintf("%v", cfg), "%+v": fmt.Sprintf("%+v", cfg), "%#v": fmt.Sprintf("%#v", cfg),
		"%s": fmt.Sprintf("token %s", cfg.Token), "json": string(asJSON), "slog": log.String(),
	} {
		if strings.Contains(text, "hunter2") {
			t.Errorf("%s prints the secret", name)
		}
	}
	if cfg.Token.Reveal() != "hunter2" {
		t.Error("Reveal must give the text")
	}
}

func TestNearest(t *testing.T) {
	keys := []string{"tls-san", "token", "token-file", "node-ip"}
	for word, want := range map[string]string{
		"tls-sans": "tls-san", "tokne": "token", "nodeip": "node-ip", "tls_san": "tls-san", "completely-else": "", "": "",
	} {
		if got := config.Nearest(word, keys); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", word, got, want)
		}
	}
}

func TestConstantsAndDefaultsAgree(t *testing.T) {
	want := map[string]string{
		"config":           config.DefaultConfigFile,
		"data-dir":         config.DefaultDataDir,
		"write-kubeconfig": config.DefaultKubeconfig,
	}
	for _, s := range config.Settings[config.Server]() {
		if w, ok := want[s.Key]; ok && s.Default != w {
			t.Errorf("%s defaults to %s, the constant says %s", s.Key, s.Default, w)
		}
	}
}

func TestPaths(t *testing.T) {
	moved := config.Place{DataDir: "/mnt/ssd/skerry/"}.Paths()
	usual := config.Place{DataDir: config.DefaultDataDir}.Paths()
	for got, want := range map[string]string{
		usual.KubeletRoot():      "/var/lib/kubelet",
		moved.KubeletRoot():      "/mnt/ssd/skerry/kubelet",
		usual.TokenFile():        "/var/lib/skerry/server/token",
		usual.ManifestsDir():     "/var/lib/skerry/server/manifests",
		usual.ImagesDir():        "/var/lib/skerry/agent/images",
		usual.PodManifestsDir():  "/var/lib/skerry/agent/pod-manifests",
		usual.ContainerdSocket(): "/run/skerry/containerd/containerd.sock",
		usual.ContainerdState():  "/run/skerry/containerd",
		moved.Ledger():           "/mnt/ssd/skerry/ledger.jsonl",
		moved.UnpackDir():        "/mnt/ssd/skerry/data",
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	node := config.Node{ContainerRuntimeEndpoint: "/run/other.sock"}
	if got := node.RuntimeEndpoint(); got != "unix:///run/other.sock" {
		t.Errorf("endpoint %s", got)
	}
}
