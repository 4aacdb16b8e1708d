package cli

import (
	"context"

	"github.com/skerry-io/skerry/internal/config"
	"github.com/skerry-io/skerry/internal/fault"
)

func runReset(_ context.Context, _ Env, _ config.Reset) error {
	return fault.New("skerry reset is not yet in this build").Fix("use a newer one")
}
