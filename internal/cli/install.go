package cli

import (
	"context"

	"github.com/skerry-io/skerry/internal/config"
	"github.com/skerry-io/skerry/internal/fault"
)

func runInstall(_ context.Context, _ Env, _ config.Install) error {
	return fault.New("skerry install is not yet in this build").Fix("use a newer one")
}

func runUninstall(_ context.Context, _ Env, _ config.Uninstall) error {
	return fault.New("skerry uninstall is not yet in this build").Fix("use a newer one")
}
