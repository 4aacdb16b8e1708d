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
	dir, own := n.config.StorageDir(), n.config.DefaultLocalStoragePath == ""
	if !own {
		if err := n.ledger.MakeDir(dir, 0o700, false); err != nil {
			return err
		}
	}
	return storage.Run(ctx, storage.Config{
		Dir:        dir,
		Private:    own,
		StateFile:  filepath.Join(n.paths.AgentDir(), "storage.json"),
		Kubeconfig: n.id.KubeletConfig(),
		Log:        n.log,
	}, ready)
}
