package containerd

import "os/exec"

// Runtime is an OCI runtime or a shim that is installed on the host.
type Runtime struct {
	Program string // OCI runtime driven by our shim; or
	Shim    string // a shim of its own
	Type    string // of the shim, as containerd names it
}

func (r Runtime) table(c Config) table {
	if r.Shim == "" {
		return runc(c, r.Program)
	}
	return table{"runtime_type": r.Type, "runtime_path": r.Shim, "sandboxer": "podsandbox"}
}

// FindRuntimes looks along the PATH for the runtimes that RuntimeClasses are commonly made for. The names are the
// handlers that users of other distributions know.
func FindRuntimes() map[string]Runtime {
	found := map[string]Runtime{}
	for name, program := range map[string]string{
		"crun": "crun", "youki": "youki", "runsc-oci": "runsc", "nvidia": "nvidia-container-runtime", "nvidia-cdi": "nvidia-container-runtime.cdi",
	} {
		if path, err := exec.LookPath(program); err == nil {
			found[name] = Runtime{Program: path}
		}
	}
	for name, shim := range map[string]string{
		"kata": "kata", "runsc": "runsc", "spin": "spin", "wasmtime": "wasmtime", "wasmedge": "wasmedge", "wasmer": "wasmer",
		"slight": "slight", "lunatic": "lunatic", "wws": "wws",
	} {
		for _, version := range []string{"v1", "v2"} {
			if path, err := exec.LookPath("containerd-shim-" + shim + "-" + version); err == nil {
				found[name] = Runtime{Shim: path, Type: "io.containerd." + shim + "." + version}
			}
		}
	}
	return found
}
