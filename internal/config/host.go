package config

import (
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/skerry-io/skerry/internal/fault"
)

// CheckConfig holds the settings of `skerry check-config`.
type CheckConfig struct {
	Place

	NodeName string `key:"node-name" as:"name" help:"name the node would have (default: the host name in lower case)"`
	Output   string `key:"output" short:"o" env:"-" def:"text" oneof:"text,json" as:"format" help:"how to print"`
}

// Status holds the settings of `skerry status`.
type Status struct {
	Place

	Kubeconfig string `key:"kubeconfig" env:"-" as:"path" help:"kubeconfig to ask for the nodes with (default: that of the node on this host)"`
	Output     string `key:"output" short:"o" env:"-" def:"text" oneof:"text,wide,json" as:"format" help:"form of the answer"`
}

// Images holds the settings of `skerry images`.
type Images struct {
	Place

	ContainerRuntimeEndpoint string `key:"container-runtime-endpoint" as:"path" help:"socket of the container runtime to ask (default: that of the runtime inside)"`
	Output                   string `key:"output" short:"o" env:"-" def:"text" oneof:"text,json" as:"format" help:"form of the answer"`
}

// RuntimeEndpoint is the CRI socket as a URL, as for Node.
func (i Images) RuntimeEndpoint() string { return runtimeEndpoint(i.ContainerRuntimeEndpoint) }

// Reset holds the settings of `skerry reset`.
type Reset struct {
	Place

	Yes      bool `key:"yes" short:"y" env:"-" help:"do not ask"`
	OnlyHost bool `key:"only-host" env:"-" help:"end the pods and undo interfaces, mounts, tables, routes and kernel settings, but keep all data"`
}

// Uninstall holds the settings of `skerry uninstall`.
type Uninstall struct {
	Place

	Yes bool `key:"yes" short:"y" env:"-" help:"do not ask"`
}

// Install holds the settings of `skerry install`. They come from flags and the installer's variables, not from files.
type Install struct {
	Exec         string `key:"exec" env:"INSTALL_SKERRY_EXEC" as:"command" help:"command the service runs, with its flags, for example \"server --node-name pi\" (default: what the service runs already; at first agent if SKERRY_URL is set, otherwise server)"`
	Name         string `key:"name" env:"INSTALL_SKERRY_NAME" def:"skerry" as:"name" help:"name of the service"`
	Type         string `key:"type" env:"INSTALL_SKERRY_TYPE" def:"notify" oneof:"notify,exec" as:"type" help:"how systemd learns that the service is up"`
	BinDir       string `key:"bin-dir" env:"INSTALL_SKERRY_BIN_DIR" def:"/usr/local/bin" as:"path" help:"directory of the binary and its kubectl, crictl and ctr links"`
	ServiceDir   string `key:"service-dir" env:"INSTALL_SKERRY_SYSTEMD_DIR" as:"path" help:"directory for the service file (default: that of the init system)"`
	Symlink      string `key:"symlink" env:"INSTALL_SKERRY_SYMLINK" def:"auto" oneof:"auto,skip,force" as:"mode" help:"links of those names: only where the host has no such command, none, or all"`
	SkipEnable   bool   `key:"skip-enable" env:"INSTALL_SKERRY_SKIP_ENABLE" help:"do not start the service at boot"`
	SkipStart    bool   `key:"skip-start" env:"INSTALL_SKERRY_SKIP_START" help:"do not start the service now"`
	ForceRestart bool   `key:"force-restart" env:"INSTALL_SKERRY_FORCE_RESTART" help:"restart the service even if nothing changed"`
}

// Validate checks the settings of the installation.
func (i Install) Validate() error {
	var p fault.Problems
	validateAbs("bin-dir", i.BinDir, &p)
	validateAbs("service-dir", i.ServiceDir, &p)
	if wrong := validation.IsDNS1123Label(i.Name); len(wrong) > 0 {
		p.Add("name", "%q cannot be the name of a service", i.Name).Fix("use lower case letters, digits and -")
	}
	return p.Err()
}
