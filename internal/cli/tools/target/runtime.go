package target

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/skerry-io/skerry/internal/config"
	"github.com/skerry-io/skerry/internal/fault"
)

const (
	// ContainerdSocket is where the runtime inside listens.
	ContainerdSocket = config.DefaultContainerdSocket
	// KubernetesNamespace is containerd's namespace for what Kubernetes runs.
	KubernetesNamespace = "k8s.io"
)

// Crictl finds the crictl program beside the running program self.
func Crictl(self string) (string, error) {
	path := filepath.Join(filepath.Dir(self), "crictl")
	found, err := os.Stat(path)
	if err == nil {
		if own, ownErr := os.Stat(self); ownErr == nil && os.SameFile(found, own) {
			err = errors.New("it is a link to skerry, which would call itself for ever")
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = fs.ErrNotExist
	}
	if err != nil {
		return "", fault.New("find crictl at %s", path).Because(err).
			Fix("call it as root once, which unpacks it; `skerry ctr` works without it")
	}
	return path, nil
}

// CrictlEnviron adds the runtime inside to environ unless the user names one. Flags of crictl win over it, and its
// image endpoint follows the runtime's.
func CrictlEnviron(environ []string, getenv func(string) string) []string {
	const endpoint = "CONTAINER_RUNTIME_ENDPOINT"
	if getenv("CRI_CONFIG_FILE") != "" || getenv(endpoint) != "" {
		return environ
	}
	return append(slices.Clone(environ), endpoint+"=unix://"+ContainerdSocket)
}
