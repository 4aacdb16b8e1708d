package registries

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/containerd/containerd/v2/core/remotes/docker/config"
)

// TestGolden compares what comes of each file in testdata with the text beside it. UPDATE_GOLDEN=1 writes those texts anew.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no test data", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			got := outcome(t, file)
			golden := strings.TrimSuffix(file, ".yaml") + ".golden"
			if os.Getenv("UPDATE_GOLDEN") != "" {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

// outcome is the problems, or else the files and the credentials.
func outcome(t *testing.T, file string) string {
	t.Helper()
	c, err := Load(file)
	if err != nil {
		return err.Error() + "\n"
	}
	dir := t.TempDir()
	if err := c.Write(dir); err != nil {
		t.Fatal(err)
	}
	credentials, err := json.MarshalIndent(c.Credentials(), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return tree(t, dir) + "-- credentials --\n" + string(credentials) + "\n"
}

// tree is the text of all files under dir.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var out strings.Builder
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		fmt.Fprintf(&out, "-- %s --\n%s", name, text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestContainerdReadsWhatIsMeant(t *testing.T) {
	dir := t.TempDir()
	c, err := Load("testdata/usual.yaml")
	if err != nil {
		t.Fatal(err)
	}
	rewritten, err := Load("testdata/rewrite.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Write(dir); err != nil {
		t.Fatal(err)
	}
	for registry, want := range map[string][]string{
		"docker.io": {"https://mirror.example:5000/v2", "http://10.0.0.1:5000/v2", "http://localhost:5001/v2",
			"https://registry-1.docker.io/v2"},
		"plain.example:5000": {"http://plain.example:5000/v2", "https://plain.example:5000/v2"},
		"elsewhere.example":  {"https://any.example/v2/all", "https://elsewhere.example/v2"},
		"token.example":      {"https://any.example/v2/all", "https://token.example/v2"},
	} {
		asked(t, dir, registry, want)
	}
	if err := rewritten.Write(dir); err != nil {
		t.Fatal(err)
	}
	asked(t, dir, "docker.io", []string{"https://harbor.example/v2/dockerhub", "https://other.example/registry/v2/dockerhub",
		"https://registry-1.docker.io/v2"})
	asked(t, dir, "plain.example:5000", []string{"https://plain.example:5000/v2"}) // its file is gone
}

// asked checks where containerd looks for images of a registry.
func asked(t *testing.T, dir, registry string, want []string) {
	t.Helper()
	hosts, err := config.ConfigureHosts(t.Context(), config.HostOptions{HostDir: config.HostDirFromRoot(dir)})(registry)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, h := range hosts {
		got = append(got, h.Scheme+"://"+h.Host+h.Path)
		if !h.Capabilities.Has(docker.HostCapabilityPull | docker.HostCapabilityResolve) {
			t.Errorf("%s: %s cannot pull", registry, h.Host)
		}
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("%s: containerd asks %q, want %q", registry, got, want)
	}
}

func TestWriteLeavesWhatIsNotItsOwn(t *testing.T) {
	dir := t.TempDir()
	theirs := filepath.Join(dir, "theirs.example", fileName)
	if err := os.MkdirAll(filepath.Dir(theirs), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(theirs, []byte("# mine\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	ours := Config{Mirrors: map[string]Mirror{"ours.example": {Endpoints: []string{"https://m.example"}}}}
	for range 2 {
		if err := ours.Write(dir); err != nil {
			t.Fatal(err)
		}
	}
	if err := (Config{}).Write(dir); err != nil {
		t.Fatal(err)
	}
	if got, want := tree(t, dir), "-- theirs.example/hosts.toml --\n# mine\n"; got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	clash := Config{Mirrors: map[string]Mirror{"theirs.example": {}}}
	if err := clash.Write(dir); err == nil || !strings.Contains(err.Error(), theirs) || !strings.Contains(err.Error(), "to cure: ") {
		t.Errorf("got %v", err)
	}
}

func TestNoFileIsNoSetting(t *testing.T) {
	c, err := Load(filepath.Join(t.TempDir(), "registries.yaml"))
	if err != nil || len(c.Mirrors)+len(c.Configs)+len(c.Credentials()) != 0 {
		t.Errorf("got %+v, %v", c, err)
	}
}
