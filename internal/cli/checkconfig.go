package cli

import (
	"context"

	"github.com/skerry-io/skerry/internal/config"
	"github.com/skerry-io/skerry/internal/fault"
)

func runCheckConfig(_ context.Context, _ Env, _ config.CheckConfig) error {
	return fault.New("skerry check-config is not yet in this build").Fix("use a newer one")
}
