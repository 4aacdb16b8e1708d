package install

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/skerry-io/skerry/internal/host"
)

// Detect says which init system starts services on this host.
func Detect() host.Init {
	if _, err := os.Stat("/run/systemd/system"); err == nil {
		return host.Systemd
	}
	if _, err := os.Stat("/sbin/openrc-run"); err == nil {
		return host.OpenRC
	}
	return host.NoInit
}

// serviceFile is the unit or script of a service: where, what, and with which permissions.
func serviceFile(init host.Init, plan Plan) host.File {
	dir := plan.ServiceDir
	if init == host.OpenRC {
		if dir == "" {
			dir = "/etc/init.d"
		}
		return host.NewFile(filepath.Join(dir, plan.Name), []byte(script(plan.command())), 0o755)
	}
	if dir == "" {
		dir = "/etc/systemd/system"
	}
	return host.NewFile(filepath.Join(dir, plan.Name+".service"), []byte(unit(plan.Type, plan.command())), 0o644)
}

// enable makes the service start at every boot.
func enable(ctx context.Context, s host.Service) error {
	if s.Init == host.OpenRC {
		return host.Command(ctx, "rc-update", "add", s.Name, "default")
	}
	return host.Command(ctx, "systemctl", "enable", s.Name+".service")
}

// start makes the service run: anew with what changed, and otherwise only if it does not run.
func start(ctx context.Context, s host.Service, changed bool) error {
	var err error
	switch {
	case s.Init == host.OpenRC && changed:
		err = host.Command(ctx, "rc-service", s.Name, "restart")
	case s.Init == host.OpenRC:
		err = host.Command(ctx, "rc-service", "--ifstopped", s.Name, "start")
	case changed:
		err = host.Command(ctx, "systemctl", "restart", s.Name+".service")
	default:
		err = host.Command(ctx, "systemctl", "start", s.Name+".service")
	}
	if err != nil {
		return fmt.Errorf("start the service: %w", err)
	}
	return nil
}

// reload makes systemd read unit files anew.
func reload(ctx context.Context, init host.Init) error {
	if init != host.Systemd {
		return nil
	}
	return host.Command(ctx, "systemctl", "daemon-reload")
}

// Stop ends the service, so that its node can be reset; Remove takes it away.
func (i *Installation) Stop(ctx context.Context) error {
	var failed []error
	for _, s := range i.services() {
		switch {
		case !exists(s.Unit): // somebody removed it, and the init system would only complain
		case s.Init == host.Systemd:
			failed = append(failed, host.Command(ctx, "systemctl", "stop", s.Name+".service"))
		case s.Init == host.OpenRC:
			failed = append(failed, host.Command(ctx, "rc-service", "--ifstarted", s.Name, "stop"))
		}
	}
	return errors.Join(failed...)
}
