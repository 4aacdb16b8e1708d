package apiserver

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"sync"

	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	aggregator "k8s.io/kube-aggregator/pkg/apiserver"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
	"k8s.io/kubernetes/cmd/kube-apiserver/app/options"

	"github.com/skerry-io/skerry/internal/component"
	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/server/pki"
)

// Publish hands the API server's handler to the port, with the certificate by which it calls itself.
type Publish func(api http.Handler, loopbackName string, loopback *tls.Certificate)

// Server is kube-apiserver.
type Server struct {
	config  Config
	pki     *pki.PKI
	publish Publish
}

// New prepares an API server; publish is called once, when it can take requests.
func New(c Config, p *pki.PKI, publish Publish) *Server { return &Server{c, p, publish} }

// Run builds the API server and runs it until ctx ends.
func (s *Server) Run(ctx context.Context, ready func()) error {
	completed, err := s.options(ctx)
	if err != nil {
		return err
	}
	config, err := app.NewConfig(completed)
	if err != nil {
		return fmt.Errorf("configure the API server: %w", err)
	}
	tokens, err := accountTokens(ctx, completed, config)
	if err != nil {
		return err
	}
	s.config.Vouch(tokens)
	s.dialThrough(config)
	s.encrypt(config, completed)
	generic := config.KubeAPIs.ControlPlane.Generic
	generic.SkipOpenAPIInstallation = true // see describe
	if s.config.ExtendKinds != nil {
		nameKinds(generic.OpenAPIV3Config, s.config.ExtendKinds)
	}
	loopback, err := loopbackCertificate(generic.SecureServing)
	if err != nil {
		return err
	}
	built, err := build(config, s.config.Alone)
	if err != nil {
		return err
	}
	core, ok := built.GenericAPIServer.NextDelegate().(*genericapiserver.GenericAPIServer)
	if !ok {
		return fault.New("behind the aggregator is no API server of Kubernetes")
	}
	describe(core, generic)
	if s.config.Extend != nil {
		if err := s.config.Extend(built.GenericAPIServer, config.KubeAPIs.ControlPlane.VersionedInformers); err != nil {
			return err
		}
	}
	if err := addFirstObjects(built, s.pki); err != nil {
		return err
	}
	prepared, err := built.PrepareRun()
	if err != nil {
		return fmt.Errorf("prepare the API server: %w", err)
	}
	healthy, err := readyz(generic.LoopbackClientConfig)
	if err != nil {
		return err
	}
	gate := newGate(prepared.GenericAPIServer.Handler)
	s.publish(gate, genericapiserver.LoopbackClientServerNameOverride, loopback)
	return component.Run(ctx, sync.OnceFunc(func() { close(gate.open); ready() }), healthy, prepared.Run)
}

func build(config *app.Config, alone bool) (*aggregator.APIAggregator, error) {
	front := refuseAhead(config, config.KubeAPIs.ControlPlane.Generic.LoopbackClientConfig, alone)
	chain, err := config.Complete()
	if err != nil {
		return nil, fmt.Errorf("complete the API server's configuration: %w", err)
	}
	built, err := app.CreateServerChain(chain)
	if err != nil {
		return nil, fmt.Errorf("build the API server: %w", err)
	}
	front.Store(built)
	return built, nil
}

func (s *Server) options(ctx context.Context) (options.CompletedOptions, error) {
	o := options.NewServerRunOptions()
	admit(o.Admission.GenericAdmission, s.config.Admission)
	if err := flags(s.config, s.pki).Parse("kube-apiserver-arg", component.Named(o.Flags())...); err != nil {
		return options.CompletedOptions{}, err
	}
	if err := o.GenericServerRunOptions.ComponentGlobalsRegistry.Set(); err != nil {
		return options.CompletedOptions{}, err
	}
	o.SecureServing.Listener = newSilence(s.config.Port)
	rest.SetDefaultWarningHandler(rest.NoWarnings{}) // the API server would warn about its own requests
	completed, err := o.Complete(ctx)
	if err != nil {
		return completed, fmt.Errorf("complete the API server's options: %w", err)
	}
	if errs := completed.Validate(); len(errs) > 0 {
		return completed, fault.New("the API server refuses its options").Because(utilerrors.NewAggregate(errs)).
			Fix("correct the entries under kube-apiserver-arg")
	}
	return completed, nil
}

// loopbackCertificate is the self-signed one that the API server made to call itself with.
func loopbackCertificate(serving *genericapiserver.SecureServingInfo) (*tls.Certificate, error) {
	cert, key := serving.SNICerts[0].CurrentCertKeyContent()
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("the API server's loopback certificate: %w", err)
	}
	return &pair, nil
}

// readyz asks the API server itself, through its port: ready means that a real request worked.
func readyz(loopback *rest.Config) (func(context.Context) error, error) {
	client, err := rest.HTTPClientFor(loopback)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, loopback.Host+"/readyz", http.NoBody)
		if err != nil {
			return err
		}
		answer, err := client.Do(request)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			return fmt.Errorf("readyz answers %s", answer.Status)
		}
		return nil
	}, nil
}

func addFirstObjects(built *aggregator.APIAggregator, p *pki.PKI) error {
	return built.GenericAPIServer.AddPostStartHook("skerry/first-objects", func(hook genericapiserver.PostStartHookContext) error {
		client, err := kubernetes.NewForConfig(hook.LoopbackClientConfig)
		if err != nil {
			return err
		}
		return firstObjects(hook, client, p.ServerCA.Certificate)
	})
}
