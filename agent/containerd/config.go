package containerd

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"

	server "github.com/containerd/containerd/v2/cmd/containerd/server/config"
	"github.com/containerd/containerd/v2/version"

	"github.com/skerry-io/skerry/internal/fault"
)

// Config is what the runtime needs to know.
type Config struct {
	Root           string // persistent state
	State          string // state that a reboot clears
	Socket         string
	Programs       string // directory of the shim, runc and the CNI plugins
	CNIConfig      string // directory of the CNI configuration
	RegistryConfig string // directory of hosts.toml files
	Credentials    map[string]any
	Snapshotter    string
	PauseImage     string
	DefaultRuntime string             // name; empty for runc
	Runtimes       map[string]Runtime // found on the host, by name
	SystemdCgroup  bool               // systemd owns the cgroup tree
	KeepOOMScore   bool               // this process may not lower an OOM score
}

// builtin is the name of the runtime that is always there.
const builtin = "runc"

func (c Config) defaultRuntime() string {
	if c.DefaultRuntime == "" {
		return builtin
	}
	return c.DefaultRuntime
}

// userPlugins is where CNI plugins go that a user brings.
func (c Config) userPlugins() string { return filepath.Join(filepath.Dir(c.CNIConfig), "bin") }

// check refuses a default runtime that is not on the host: no pod could start.
func (c Config) check() error {
	name := c.defaultRuntime()
	if _, found := c.Runtimes[name]; found || name == builtin {
		return nil
	}
	have := append(slices.Sorted(maps.Keys(c.Runtimes)), builtin)
	return fault.New("the default runtime %q is not on this host", name).
		Fix("install it, or set default-runtime to one that is: %s", strings.Join(have, ", "))
}

// table is a piece of containerd's configuration.
type table = map[string]any

// daemon is the whole configuration, in containerd's own terms.
func daemon(c Config) *server.Config {
	runtimes := table{builtin: runc(c, filepath.Join(c.Programs, builtin))}
	for name, r := range c.Runtimes {
		runtimes[name] = r.table(c)
	}
	return &server.Config{
		Version: version.ConfigVersion,
		Root:    c.Root,
		State:   c.State,
		// It registers figures, which nobody reads, under names that belong to the whole process, and ends it when a member of etcd
		// beside it was faster with the same ones.
		DisabledPlugins: []string{"io.containerd.metrics.v1.grpc-prometheus"},
		Plugins: table{
			"io.containerd.server.v1.grpc":  table{"address": c.Socket},
			"io.containerd.server.v1.ttrpc": table{"address": c.Socket + ".ttrpc"},
			"io.containerd.shim.v1.manager": table{
				"socket_dir": filepath.Join(c.State, "s"), // the default is shared with any other containerd
				"env":        []string{"GOMAXPROCS=2"},
			},
			"io.containerd.cri.v1.images": table{
				"snapshotter":   c.Snapshotter,
				"pinned_images": table{"sandbox": c.PauseImage},
				"registry":      table{"config_path": c.RegistryConfig, "configs": c.Credentials},
			},
			"io.containerd.cri.v1.runtime": table{
				"containerd":                             table{"default_runtime_name": c.defaultRuntime(), "runtimes": runtimes},
				"cni":                                    table{"bin_dirs": []string{c.Programs, c.userPlugins()}, "conf_dir": c.CNIConfig, "use_internal_loopback": true},
				"restrict_oom_score_adj":                 c.KeepOOMScore,
				"netns_mounts_under_state_dir":           true, // so that all mounts of ours lie under one directory
				"disable_hugetlb_controller":             true,
				"enable_unprivileged_ports":              true,
				"stats_collect_period":                   "10s", // as often as the kubelet asks; every second is half of an idle containerd
				"enable_unprivileged_icmp":               true,
				"device_ownership_from_security_context": true,
			},
		},
	}
}

// runc is the table of a runtime that is driven by our shim and the given program.
func runc(c Config, program string) table {
	return table{
		"runtime_type": "io.containerd.runc.v2",
		"runtime_path": filepath.Join(c.Programs, "containerd-shim-runc-v2"),
		"sandboxer":    "podsandbox",
		"options": table{
			"BinaryName": program, "SystemdCgroup": c.SystemdCgroup,
			"Root": filepath.Join(c.State, "runc"), // the default is shared with any other containerd
		},
	}
}
