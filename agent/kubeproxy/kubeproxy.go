package kubeproxy

import (
	"context"
	"net/netip"

	"github.com/spf13/pflag"
	"k8s.io/kubernetes/cmd/kube-proxy/app"

	"github.com/skerry-io/skerry/internal/component"
	"github.com/skerry-io/skerry/internal/fault"
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
		"feature-gates":        "WatchListClient=false", // see the API server's flags: one process, one gate
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
	o, err := configure(c)
	if err != nil {
		return err
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

// configure goes the way of kube-proxy's own command.
func configure(c Config) (*app.Options, error) {
	o := app.NewOptions()
	set := pflag.NewFlagSet("kube-proxy", pflag.ContinueOnError)
	o.AddFlags(set)
	if err := flags(c).Parse("kube-proxy-arg", set); err != nil {
		return nil, err
	}
	err := o.Complete(set)
	if err == nil {
		err = o.Validate()
	}
	if err != nil {
		return nil, fault.New("kube-proxy refuses its flags").Because(err).Fix("correct the entries under kube-proxy-arg")
	}
	return o, nil
}
