package controllers

import (
	"context"
	"fmt"
	"net/netip"

	"k8s.io/kubernetes/cmd/kube-controller-manager/app"
	"k8s.io/kubernetes/cmd/kube-controller-manager/app/options"

	"github.com/skerry-io/skerry/internal/component"
	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/server/pki"
)

// Config is what the controllers need to know.
type Config struct {
	Kubeconfig  string
	PodCIDR     []netip.Prefix
	ServiceCIDR []netip.Prefix
	Extra       []string // the user's flags
}

// setting is where the user's flags come from.
const setting = "kube-controller-manager-arg"

// flags are the command line of kube-controller-manager.
func flags(c Config, p *pki.PKI) component.Flags {
	client, server := p.Authority("client-ca"), p.Authority("server-ca")
	return component.Flags{
		"allocate-node-cidrs": "true",
		"cluster-cidr":        component.List(c.PodCIDR),
		"cluster-signing-kube-apiserver-client-cert-file": client.CertFile(),
		"cluster-signing-kube-apiserver-client-key-file":  client.KeyFile(),
		"cluster-signing-kubelet-client-cert-file":        client.CertFile(),
		"cluster-signing-kubelet-client-key-file":         client.KeyFile(),
		"cluster-signing-kubelet-serving-cert-file":       server.CertFile(),
		"cluster-signing-kubelet-serving-key-file":        server.KeyFile(),
		"cluster-signing-legacy-unknown-cert-file":        server.CertFile(),
		"cluster-signing-legacy-unknown-key-file":         server.KeyFile(),
		"controller-start-interval":                       "0s",
		"controllers":                                     "*,tokencleaner",
		"kube-api-burst":                                  "200", // its clients are in this process
		"kube-api-qps":                                    "100",
		"kubeconfig":                                      c.Kubeconfig,
		"leader-elect":                                    "false", // one process, one copy; saves a write every two seconds
		"profiling":                                       "false",
		"root-ca-file":                                    server.CertFile(),
		"secure-port":                                     "0", // its metrics are in the API server's registry
		"service-account-private-key-file":                p.ServiceAccountKeyFile(),
		"service-cluster-ip-range":                        component.List(c.ServiceCIDR),
		"use-service-account-credentials":                 "true",
	}.With(c.Extra)
}

// Run runs the controllers until ctx ends.
func Run(ctx context.Context, c Config, p *pki.PKI, ready func()) error {
	o, err := configure(c, p)
	if err != nil {
		return err
	}
	config, err := o.Config(ctx, app.KnownControllers(), app.ControllersDisabledByDefault(), app.ControllerAliases())
	if err != nil {
		return fmt.Errorf("configure the controllers: %w", err)
	}
	whenBuilt(config.Kubeconfig, ready)
	return app.Run(ctx, config.Complete())
}

// configure gives the options that the flags make.
func configure(c Config, p *pki.PKI) (*options.KubeControllerManagerOptions, error) {
	o, err := options.NewKubeControllerManagerOptions()
	if err != nil {
		return nil, err
	}
	known, off, aliases := app.KnownControllers(), app.ControllersDisabledByDefault(), app.ControllerAliases()
	if err := flags(c, p).Parse(setting, component.Named(o.Flags(known, off, aliases))...); err != nil {
		return nil, err
	}
	if err := o.Validate(known, off, aliases); err != nil {
		return nil, fault.New("the controllers refuse their flags").Because(err).Fix("correct the entries under %s", setting)
	}
	return o, nil
}
