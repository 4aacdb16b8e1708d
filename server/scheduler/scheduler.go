package scheduler

import (
	"context"

	"k8s.io/kubernetes/cmd/kube-scheduler/app"
	"k8s.io/kubernetes/cmd/kube-scheduler/app/options"

	"github.com/skerry-io/skerry/internal/component"
	"github.com/skerry-io/skerry/internal/fault"
)

// Config is what the scheduler needs to know.
type Config struct {
	Kubeconfig string
	Extra      []string // the user's flags
}

// setting is where the user's flags come from.
const setting = "kube-scheduler-arg"

// flags are the command line of kube-scheduler.
func flags(c Config) component.Flags {
	return component.Flags{
		"authentication-kubeconfig": c.Kubeconfig,
		"authorization-kubeconfig":  c.Kubeconfig,
		"bind-address":              "127.0.0.1",
		"kubeconfig":                c.Kubeconfig,
		"leader-elect":              "false", // one process, one copy; saves a write every two seconds
		"profiling":                 "false",
		"secure-port":               "0", // its metrics are in the API server's registry
	}.With(c.Extra)
}

// Run schedules until ctx ends.
func Run(ctx context.Context, c Config, ready func()) error {
	o, err := configure(c)
	if err != nil {
		return err
	}
	config, scheduler, err := app.Setup(ctx, o)
	if err != nil {
		return fault.New("configure the scheduler").Because(err).Fix("correct the entries under %s, if there are any", setting)
	}
	ready() // nothing waits for it: it works when it can
	return app.Run(ctx, config, scheduler)
}

// configure gives the options that the flags make.
func configure(c Config) (*options.Options, error) {
	o := options.NewOptions()
	if err := flags(c).Parse(setting, component.Named(*o.Flags)...); err != nil {
		return nil, err
	}
	return o, nil
}
