package cli

import (
	"context"

	"github.com/skerry-io/skerry/internal/config"
	"github.com/skerry-io/skerry/internal/fault"
)

func runServer(_ context.Context, _ Env, _ config.Server) error {
	return fault.New("skerry server is not yet in this build").Fix("use a newer one")
}
