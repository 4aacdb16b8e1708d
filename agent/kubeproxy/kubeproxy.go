package kubeproxy

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/spf13/pflag"
	"k8s.io/kubernetes/cmd/kube-proxy/app"

	"github.com/skerry-io/skerry/internal/component"
)

// Config is what kube-proxy needs to know.
type Config struct {
	Kubeconfig    string
	NodeName      string
	PodCIDR       []netip.Prefix
	KeepOOMScore  bool     // this process may not lower an OOM score
	KeepConntrack bool     // the conntrack limits of this host cannot be set from here
	Extra         []string // the user's flags
}

// flags are the command line of kube-proxy.
func flags(c Config) component.Flags {
	f := component.Flags{
		"cluster-cidr":         component.List(c.PodCIDR),
		"healthz-bind-address": "127.0.0.1:10256",
		"hostname-override":    c.NodeName,
		"kubeconfig":           c.Kubeconfig,
		"proxy-mode":           "nftables",
	}
	if c.KeepOOMScore {
		f["oom-score-adj"] = "0"
	}
	if c.KeepConntrack {
		for _, limit := range []string{"conntrack-max-per-core", "conntrack-min"} {
			f[limit] = "0"
		}
		for _, timeout := range []string{"conntrack-tcp-timeout-established", "conntrack-tcp-timeout-close-wait"} {
			f[timeout] = "0s"
		}
	}
	return f.With(c.Extra)
}

// Run runs kube-proxy until ctx ends. Its rules stay, so that services go on without it.
func Run(ctx context.Context, c Config, ready func()) error {
	o := app.NewOptions()
	set := pflag.NewFlagSet("kube-proxy", pflag.ContinueOnError)
	o.AddFlags(set)
	if err := flags(c).Parse("kube-proxy-arg", set); err != nil {
		return err
	}
	if err := o.Complete(set); err != nil {
		return fmt.Errorf("configure kube-proxy: %w", err)
	}
	if err := o.Validate(); err != nil {
		return fmt.Errorf("kube-proxy refuses its flags: %w", err)
	}
	ready() // nothing waits for it: it works when it can
	ended := make(chan error, 1)
	go func() { ended <- o.Run(ctx) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return nil // upstream's Run waits on for an error that no longer comes
	}
}
