package agent

import (
	"fmt"
	"path/filepath"
	"strings"

	core "k8s.io/api/core/v1"

	"github.com/skerry-io/skerry/internal/durable"
)

// parseLabels reads key=value entries; they were checked when the settings were loaded.
func parseLabels(entries []string) (map[string]string, error) {
	labels := map[string]string{}
	for _, entry := range entries {
		key, value, ok := strings.Cut(entry, "=")
		if !ok {
			return nil, fmt.Errorf("node-label %q is not key=value", entry)
		}
		labels[key] = value
	}
	return labels, nil
}

// parseTaints reads key=value:effect or key:effect entries; they were checked when the settings were loaded.
func parseTaints(entries []string) ([]core.Taint, error) {
	var taints []core.Taint
	for _, entry := range entries {
		rest, effect, ok := strings.Cut(entry, ":")
		if !ok {
			return nil, fmt.Errorf("node-taint %q is not key=value:effect", entry)
		}
		key, value, _ := strings.Cut(rest, "=")
		taints = append(taints, core.Taint{Key: key, Value: value, Effect: core.TaintEffect(effect)})
	}
	return taints, nil
}

// resolvConf is the file the kubelet reads; a host without one gets an empty one, else no pod could start.
func (n *Node) resolvConf() (string, error) {
	if path, found := resolvConf(n.config.ResolvConf); found {
		return path, nil
	}
	path := filepath.Join(n.paths.AgentEtcDir(), "resolv.conf")
	n.log.Warn("this host has no /etc/resolv.conf: pods can resolve cluster names only")
	return path, durable.WriteFile(path, nil, 0o644)
}
