package kubelet

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/spf13/pflag"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/kubernetes/cmd/kubelet/app"
	"k8s.io/kubernetes/cmd/kubelet/app/options"
	"k8s.io/kubernetes/pkg/kubelet/apis/config/validation"

	"github.com/skerry-io/skerry/internal/component"
	"github.com/skerry-io/skerry/internal/fault"
)

// healthz is where the kubelet tells that its sync loop works.
const healthz = "http://127.0.0.1:10248/healthz"

// Run runs the kubelet until ctx ends. Pods go on without it.
func Run(ctx context.Context, c Config, ready func()) (err error) {
	server, err := configure(c)
	if err != nil {
		return err
	}
	deps, err := app.UnsecuredDependencies(ctx, server, utilfeature.DefaultFeatureGate)
	if err != nil {
		return fmt.Errorf("prepare the kubelet: %w", err)
	}
	plugin, err := replaceCSI(deps.VolumePlugins)
	if err != nil {
		return err
	}
	repaired := make(chan error, 1)
	ctx, stop := context.WithCancel(ctx)
	defer func() {
		stop()
		err = errors.Join(err, <-repaired)
	}()
	go func() { repaired <- plugin.again(ctx, c.Controllers) }()
	return component.Run(ctx, ready, healthy, func(ctx context.Context) error {
		return app.Run(ctx, server, deps, utilfeature.DefaultFeatureGate)
	})
}

// configure goes the way of the kubelet's own command: defaults, then ours, then the user's flags on top.
func configure(c Config) (*options.KubeletServer, error) {
	flags := options.NewKubeletFlags()
	config, err := options.NewKubeletConfiguration()
	if err != nil {
		return nil, err
	}
	c.fill(flags)
	c.apply(config)
	set := pflag.NewFlagSet("kubelet", pflag.ContinueOnError)
	flags.AddFlags(set)
	options.AddKubeletConfigFlags(set, config)
	options.AddGlobalFlags(set)
	if err := c.flags().Parse("kubelet-arg", set); err != nil {
		return nil, err
	}
	if err := utilfeature.DefaultMutableFeatureGate.SetFromMap(config.FeatureGates); err != nil {
		return nil, refused(err)
	}
	if err := options.ValidateKubeletFlags(flags); err != nil {
		return nil, refused(err)
	}
	if err := validation.ValidateKubeletConfiguration(config, utilfeature.DefaultFeatureGate); err != nil {
		return nil, refused(err)
	}
	return &options.KubeletServer{KubeletFlags: *flags, KubeletConfiguration: *config}, nil
}

// refused blames the user's flags: without any, upstream takes what is made here.
func refused(err error) error {
	return fault.New("the kubelet refuses its configuration").Because(err).Fix("correct the entries under kubelet-arg")
}

func healthy(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, healthz, http.NoBody)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("the kubelet's healthz answers %s", answer.Status)
	}
	return nil
}
