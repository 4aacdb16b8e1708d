package agent

import (
	"context"
	"path/filepath"
	"slices"

	"github.com/skerry-io/skerry/agent/storage"
	"github.com/skerry-io/skerry/internal/wire"
)

// volumes makes and removes the directories of volumes, unless the cluster does without.
func (n *Node) volumes(ctx context.Context, ready func()) error {
	if slices.Contains(n.id.Cluster().Disabled, wire.ComponentStorage) {
		return idle(ctx, ready)
	}
	c := storage.Config{
		Dir:        n.config.StorageDir(),
		StateFile:  filepath.Join(n.paths.AgentDir(), "storage.json"),
		Kubeconfig: n.id.KubeletConfig(),
		Rows:       &n.told.volumes,
		Log:        n.log,
	}
	if n.config.DefaultLocalStoragePath != "" {
		c.Make = func() error { return n.ledger.MakeDir(c.Dir, 0o700, false) }
	}
	return storage.Run(ctx, c, ready)
}
