package identity

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/skerry-io/skerry/internal/certs"
	"github.com/skerry-io/skerry/internal/durable"
	"github.com/skerry-io/skerry/internal/kubeconfig"
)

// keptFile holds what a node was told, whole; the other files are made of it.
const keptFile = "joined.json"

// KeptName is the name under which the node of this directory has joined, false when it has not. A node keeps its name
// when the host's name changes.
func KeptName(dir string) (string, bool) {
	k, err := readKept(dir)
	return k.Name, err == nil && k.Name != ""
}

func readKept(dir string) (kept, error) {
	var k kept
	text, err := os.ReadFile(filepath.Join(dir, keptFile))
	if err != nil {
		return k, err
	}
	return k, json.Unmarshal(text, &k)
}

// restore gives what was kept for this key and name, expired or not; nil when there is nothing of use.
func (n *Node) restore() *material {
	k, err := readKept(n.config.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var m *material
	if err == nil {
		m, err = n.read(k)
	}
	switch {
	case err != nil:
		n.log.Warn("what this node kept of its cluster is of no use; it joins again", "file", n.path(keptFile), "err", err)
		return nil
	case k.Name != n.config.Name:
		n.log.Info("the node has another name than before; it joins again", "before", k.Name, "now", n.config.Name)
		return nil
	}
	return m
}

// ours says that what was kept is of the cluster that the token is for.
func (n *Node) ours(m *material) bool {
	// Without a token, what was kept is all there is.
	token, err := n.config.Token()
	return err != nil || token.Trusts(m.ca)
}

// take makes m the newest, on disk and in memory.
func (n *Node) take(m *material) error {
	if err := n.save(m); err != nil {
		return fmt.Errorf("keep the node's certificates: %w", err)
	}
	n.now.Store(m)
	return nil
}

// save writes what was told, the certificates, and the kubeconfigs that lead to the node's own endpoint. Files that are
// as they should be are not touched.
func (n *Node) save(m *material) error {
	text, err := json.MarshalIndent(m.kept, "", "  ")
	if err != nil {
		return err
	}
	if err := replace(n.path(keptFile), text, 0o600); err != nil {
		return err
	}
	if n.local.Leaf == nil {
		if n.authority, n.local, err = n.vouch(m.Cluster); err != nil {
			return fmt.Errorf("the node's certificate for itself: %w", err)
		}
	}
	own := string(certs.EncodeCert(n.authority))
	for name, text := range map[string]string{
		endpointCA: m.ServerCA + own, "server-ca.crt": m.ServerCA, "client-ca.crt": m.ClientCA, "client-kubelet.crt": m.Kubelet,
		"serving-kubelet.crt": m.KubeletServer, "client-kube-proxy.crt": m.KubeProxy,
	} {
		if err := replace(n.path(name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	for name, user := range map[string]string{n.KubeletConfig(): "client-kubelet.crt", n.KubeProxyConfig(): "client-kube-proxy.crt"} {
		file := kubeconfig.File{Server: n.config.Endpoint, CAFile: n.path(endpointCA), CertFile: n.path(user), KeyFile: n.KeyFile()}
		if err := file.Write(name, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func replace(path string, text []byte, mode fs.FileMode) error {
	if have, err := os.ReadFile(path); err == nil && bytes.Equal(have, text) {
		return nil
	}
	return durable.WriteFile(path, text, mode)
}
