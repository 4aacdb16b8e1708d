package containerd

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/containerd/plugin"
	"github.com/containerd/plugin/registry"
	"github.com/pelletier/go-toml/v2"

	"github.com/skerry-io/skerry/internal/fault"
)

func example() Config {
	return Config{
		Root: "/data/containerd", State: "/run/skerry/containerd", Socket: "/run/skerry/containerd/containerd.sock", Programs: "/data/bin",
		CNIConfig: "/data/cni/net.d", RegistryConfig: "/data/certs.d", Snapshotter: "overlayfs", PauseImage: "localhost/skerry/pause:1",
		Credentials: map[string]any{"registry.local": map[string]any{"auth": map[string]any{"username": "u", "password": "p"}}},
		Runtimes: map[string]Runtime{
			"crun": {Program: "/usr/bin/crun"},
			"kata": {Shim: "/usr/bin/containerd-shim-kata-v2", Type: "io.containerd.kata.v2"},
		},
		SystemdCgroup: true, KeepOOMScore: true,
	}
}

// at goes down tables by the names of their keys.
func at(t *testing.T, in any, path ...string) any {
	t.Helper()
	for i, name := range path {
		below, ok := in.(table)
		if !ok {
			t.Fatalf("%s is no table", strings.Join(path[:i], " "))
		}
		in = below[name]
	}
	return in
}

// TestWhatIsLeftOutExists: containerd ignores the name of a part that it does not have.
func TestWhatIsLeftOutExists(t *testing.T) {
	left := map[string]bool{}
	for _, r := range registry.Graph(func(*plugin.Registration) bool { return false }) {
		left[r.URI()] = true
	}
	for _, name := range daemon(example()).DisabledPlugins {
		if !left[name] {
			t.Errorf("containerd has no %s", name)
		}
	}
}

// TestEveryKeyIsOneOfContainerds: containerd ignores a key it does not know.
func TestEveryKeyIsOneOfContainerds(t *testing.T) {
	known := map[string]plugin.Registration{}
	for _, r := range registry.Graph(func(*plugin.Registration) bool { return false }) {
		known[r.URI()] = r
	}
	for name, settings := range daemon(example()).Plugins {
		r, found := known[name]
		if !found || r.Config == nil {
			t.Errorf("no plugin that is linked in is called %s and has a configuration", name)
			continue
		}
		text, err := toml.Marshal(settings)
		if err != nil {
			t.Fatal(err)
		}
		fresh := reflect.New(reflect.TypeOf(r.Config).Elem()).Interface()
		err = toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields().Decode(fresh)
		var strange *toml.StrictMissingError
		if errors.As(err, &strange) {
			t.Errorf("%s: %s", name, strange.String())
		} else if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNothingLiesWhereAnotherContainerdHasIt(t *testing.T) {
	c := daemon(example())
	text, err := toml.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	if c.Root != "/data/containerd" || c.State != "/run/skerry/containerd" {
		t.Errorf("root %s, state %s", c.Root, c.State)
	}
	for _, foreign := range []string{"/run/containerd", "/var/lib/containerd", "/etc/containerd", "/opt/", "/etc/cni"} {
		if strings.Contains(string(text), foreign) {
			t.Errorf("%s stands in\n%s", foreign, text)
		}
	}
	if got := at(t, c.Plugins, "io.containerd.shim.v1.manager", "socket_dir"); got != "/run/skerry/containerd/s" {
		t.Errorf("shims listen in %v", got)
	}
	cni := at(t, c.Plugins, "io.containerd.cri.v1.runtime", "cni").(table)
	if !reflect.DeepEqual(cni["bin_dirs"], []string{"/data/bin", "/data/cni/bin"}) || cni["conf_dir"] != "/data/cni/net.d" {
		t.Errorf("CNI is looked for in %v", cni)
	}
}

func TestRuntimes(t *testing.T) {
	c := example()
	cri := at(t, daemon(c).Plugins, "io.containerd.cri.v1.runtime")
	runtimes := at(t, cri, "containerd", "runtimes")
	for name, program := range map[string]string{"runc": "/data/bin/runc", "crun": "/usr/bin/crun"} {
		want := table{"runtime_type": "io.containerd.runc.v2", "runtime_path": "/data/bin/containerd-shim-runc-v2", "sandboxer": "podsandbox",
			"options": table{"BinaryName": program, "SystemdCgroup": true, "Root": "/run/skerry/containerd/runc"}}
		if got := at(t, runtimes, name); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %v", name, got)
		}
	}
	want := table{"runtime_type": "io.containerd.kata.v2", "runtime_path": "/usr/bin/containerd-shim-kata-v2", "sandboxer": "podsandbox"}
	if got := at(t, runtimes, "kata"); !reflect.DeepEqual(got, want) {
		t.Errorf("kata: got %v", got)
	}
	if got := at(t, cri, "restrict_oom_score_adj"); got != true {
		t.Errorf("OOM scores are lowered all the same: %v", got)
	}
	for set, want := range map[string]string{"": "runc", "crun": "crun"} {
		c.DefaultRuntime = set
		if got := at(t, daemon(c).Plugins, "io.containerd.cri.v1.runtime", "containerd", "default_runtime_name"); got != want {
			t.Errorf("default-runtime %q gives %v", set, got)
		}
		if err := c.check(); err != nil {
			t.Errorf("default-runtime %q: %v", set, err)
		}
	}
	c.DefaultRuntime = "gvisor"
	var told *fault.Fault
	if err := c.check(); !errors.As(err, &told) || !strings.Contains(err.Error(), `"gvisor"`) || !strings.Contains(told.Cure(), "crun, kata, runc") {
		t.Errorf("a default runtime that is not there: got %v", err)
	}
}

func TestImages(t *testing.T) {
	images := at(t, daemon(example()).Plugins, "io.containerd.cri.v1.images")
	if at(t, images, "pinned_images", "sandbox") != "localhost/skerry/pause:1" || at(t, images, "snapshotter") != "overlayfs" ||
		at(t, images, "registry", "config_path") != "/data/certs.d" || at(t, images, "registry", "configs", "registry.local") == nil {
		t.Errorf("got %v", images)
	}
}

func TestFindRuntimes(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	t.Setenv("PATH", first+string(filepath.ListSeparator)+second)
	if found := FindRuntimes(); len(found) > 0 {
		t.Fatalf("found %v in empty directories", found)
	}
	for path, mode := range map[string]os.FileMode{
		filepath.Join(first, "crun"):                        0o755,
		filepath.Join(second, "crun"):                       0o755,
		filepath.Join(first, "youki"):                       0o644, // cannot be executed
		filepath.Join(second, "runsc"):                      0o755,
		filepath.Join(second, "containerd-shim-runsc-v1"):   0o755,
		filepath.Join(second, "containerd-shim-spin-v1"):    0o755,
		filepath.Join(second, "containerd-shim-spin-v2"):    0o755,
		filepath.Join(second, "containerd-shim-unknown-v2"): 0o755,
	} {
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"), mode); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]Runtime{
		"crun":      {Program: filepath.Join(first, "crun")},
		"runsc-oci": {Program: filepath.Join(second, "runsc")},
		"runsc":     {Shim: filepath.Join(second, "containerd-shim-runsc-v1"), Type: "io.containerd.runsc.v1"},
		"spin":      {Shim: filepath.Join(second, "containerd-shim-spin-v2"), Type: "io.containerd.spin.v2"},
	}
	if got := FindRuntimes(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
