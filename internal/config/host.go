package config

import (
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/skerry-io/skerry/internal/fault"
)

// Reset holds the settings of `skerry reset` and `skerry uninstall`.
type Reset struct {
	Place

	Yes bool `key:"yes" short:"y" env:"-" help:"do not ask"`
}

// Install holds the settings of `skerry install`. They come from flags and the installer's variables, not from files.
type Install struct {
	Exec       string `key:"exec" env:"INSTALL_SKERRY_EXEC" def:"server" as:"command" help:"command the service runs, with its flags, for example \"server --node-name pi\""`
	Name       string `key:"name" env:"INSTALL_SKERRY_NAME" def:"skerry" as:"name" help:"name of the service"`
	BinDir     string `key:"bin-dir" env:"INSTALL_SKERRY_BIN_DIR" def:"/usr/local/bin" as:"path" help:"directory for the binary and its kubectl, crictl and ctr links"`
	ServiceDir string `key:"service-dir" env:"INSTALL_SKERRY_SERVICE_DIR" as:"path" help:"directory for the service file (default: that of the init system)"`
	SkipEnable bool   `key:"skip-enable" env:"INSTALL_SKERRY_SKIP_ENABLE" help:"do not start the service at boot"`
	SkipStart  bool   `key:"skip-start" env:"INSTALL_SKERRY_SKIP_START" help:"do not start the service now"`
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
