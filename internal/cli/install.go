package cli

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/skerry-io/skerry/internal/config"
	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/host"
	"github.com/skerry-io/skerry/internal/install"
	skerrylog "github.com/skerry-io/skerry/internal/log"
	"github.com/skerry-io/skerry/internal/wire"
)

// runInstall makes the program a service. The settings that the service would start with are checked first.
func runInstall(ctx context.Context, env Env, cfg config.Install) (err error) {
	if os.Geteuid() != 0 {
		return fault.New("install as user %d", os.Geteuid()).Fix("run it as root")
	}
	kept, err := install.Environ()
	if err != nil {
		return err
	}
	given, err := givenArgs(env, cfg)
	if err != nil {
		return err
	}
	service := config.Sources{Environ: append(kept, env.Environ...), Hostname: env.Hostname}
	if given != nil { // a wrong command leaves no trace
		if _, err := servicePaths(service, given); err != nil {
			return err
		}
	}
	installation, err := install.Open(env.Out, skerrylog.New(env.Err, false))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, installation.Close()) }()
	args := chooseArgs(given, installation.Args(), env)
	paths, err := servicePaths(service, args)
	if err != nil {
		return err
	}
	places, err := placesOf(env, paths)
	if err != nil {
		return err
	}
	return installation.Make(ctx, install.Plan{Install: cfg, Args: args, Places: places, Environ: env.Environ, Path: env.Getenv("PATH")})
}

// givenArgs is what the installer says that the service runs, nil when it says nothing. Flags alone mean flags of a server.
func givenArgs(env Env, cfg config.Install) ([]string, error) {
	args, err := install.Words(cfg.Exec)
	if err != nil || len(args) == 0 {
		return nil, err
	}
	if args[0] != "server" && args[0] != "agent" {
		args = append([]string{role(env)}, args...)
	}
	return args, nil
}

// chooseArgs goes on with what the service runs already, unless something else was said.
func chooseArgs(given, installed []string, env Env) []string {
	switch {
	case given != nil:
		return given
	case installed != nil:
		return installed
	}
	return []string{role(env)}
}

// role is what a host becomes when nobody says it: who names a server joins it.
func role(env Env) string {
	if env.Getenv("SKERRY_URL") != "" {
		return "agent"
	}
	return "server"
}

// servicePaths loads the settings as the service will, and gives its paths.
func servicePaths(src config.Sources, args []string) (config.Paths, error) {
	var place config.Place
	var err error
	switch args[0] {
	case "agent":
		var cfg config.Agent
		if cfg, err = config.Load[config.Agent](src, args[1:]); err == nil {
			_, err = wire.ParseToken(cfg.Token.Reveal())
		}
		place = cfg.Place
	default:
		var cfg config.Server
		cfg, err = config.Load[config.Server](src, args[1:])
		place = cfg.Place
	}
	if err != nil {
		return config.Paths{}, fmt.Errorf("the service could not start with `skerry %s`: %w", install.CommandLine(args), err)
	}
	return place.Paths(), nil
}

// placesOf adds where this program was unpacked to what the service uses.
func placesOf(env Env, service config.Paths) ([]config.Paths, error) {
	own, err := config.LoadBeside[config.Reset](env.Sources(), nil)
	if err != nil {
		return nil, err
	}
	if own.Paths() == service {
		return []config.Paths{service}, nil
	}
	return []config.Paths{service, own.Paths()}, nil
}

// runUninstall stops the service, resets the host, and only then takes the program away: until then it can be run again.
func runUninstall(ctx context.Context, env Env, cfg config.Uninstall) error {
	if err := env.Confirm(cfg.Yes, "This ends all pods and removes all data of Skerry on this host, its service, and the program."); err != nil {
		return err
	}
	if !install.Exists() {
		return undo(ctx, env, cfg.Paths(), host.All)
	}
	installation, err := install.Open(env.Out, skerrylog.New(env.Err, false))
	if err != nil {
		return err
	}
	if err := resetInstalled(ctx, env, cfg, installation); err != nil {
		return errors.Join(err, installation.Close())
	}
	return installation.Remove(ctx)
}

// resetInstalled stops the service and resets its node.
func resetInstalled(ctx context.Context, env Env, cfg config.Uninstall, installation *install.Installation) error {
	if err := installation.Stop(ctx); err != nil {
		return err
	}
	places := []config.Paths{cfg.Paths()}
	if kept, err := install.Environ(); err == nil && installation.Args() != nil {
		// Settings that cannot be read any more started no node; what the command line says has to do then.
		src := config.Sources{Environ: append(kept, env.Environ...), Hostname: env.Hostname}
		if service, err := servicePaths(src, installation.Args()); err == nil && service != cfg.Paths() {
			places = append(places, service)
		}
	}
	for _, paths := range places {
		if err := undo(ctx, env, paths, host.All); err != nil {
			return err
		}
	}
	return nil
}
