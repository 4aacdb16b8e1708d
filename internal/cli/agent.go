package cli

import (
	"context"

	"github.com/skerry-io/skerry/internal/config"
	"github.com/skerry-io/skerry/internal/fault"
)

// runAgent says that agents come later. Its settings were checked before, so that they are known to be good by then.
func runAgent(_ context.Context, _ Env, cfg config.Agent) error {
	return fault.New("join %s: joining agents is not in this release yet; the settings are valid", cfg.Server).
		Fix("run `skerry server` for a node of its own")
}
