package server

import (
	"context"
	"net"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/skerry-io/skerry/datastore"
	"github.com/skerry-io/skerry/datastore/sqlite"
	"github.com/skerry-io/skerry/internal/run"
	"github.com/skerry-io/skerry/internal/wire"
	"github.com/skerry-io/skerry/server/apiserver"
	"github.com/skerry-io/skerry/server/controllers"
	"github.com/skerry-io/skerry/server/runtimeclasses"
	"github.com/skerry-io/skerry/server/scheduler"
	"github.com/skerry-io/skerry/server/supervisor"
)

// Services is the table of what a server runs.
func (s *Server) Services() []run.Service {
	var ready atomic.Bool
	routes := supervisor.Routes(s.pki, s.token, s.cluster(), ready.Load, s.log)
	address := net.JoinHostPort(s.config.BindAddress.String(), strconv.Itoa(s.config.HTTPSListenPort))
	port := supervisor.NewPort(address, &s.serving, routes, s.log)
	api := apiserver.New(s.apiserver(), s.pki, port.SetAPI)
	return []run.Service{
		{Name: "port", Run: port.Run},
		{Name: "datastore", Run: s.datastore, Grace: 5 * time.Second},
		{Name: "apiserver", Needs: []string{"port", "datastore"}, Grace: 4 * time.Second,
			Run: func(ctx context.Context, isReady func()) error {
				return api.Run(ctx, func() { ready.Store(true); isReady() })
			}},
		{Name: "controllers", Needs: []string{"apiserver"}, Run: s.controllers},
		{Name: "scheduler", Needs: []string{"apiserver"}, Run: s.scheduler},
		{Name: "runtimeclasses", Needs: []string{"apiserver"}, Run: s.runtimeclasses, Again: run.Backoff{Min: time.Second, Max: time.Minute}},
	}
}

// socket is where the datastore serves the etcd API.
func (s *Server) socket() string { return filepath.Join(s.paths.ServerDir(), "datastore.sock") }

func (s *Server) datastore(ctx context.Context, ready func()) error {
	store, wait, err := sqlite.Open(ctx, s.paths.DBDir())
	if err != nil {
		return err
	}
	defer wait()
	return datastore.Serve(ctx, store, s.socket(), ready)
}

func (s *Server) cluster() wire.Cluster {
	c := s.config
	return wire.Cluster{ClusterCIDR: c.ClusterCIDR, ServiceCIDR: c.ServiceCIDR, ClusterDNS: c.ClusterDNS, ClusterDomain: c.ClusterDomain,
		KubeProxyOff: c.DisableKubeProxy, Backend: c.FlannelBackend, ExternalIP: c.FlannelExternalIP, Tunnel: c.EgressSelectorMode}
}

func (s *Server) apiserver() apiserver.Config {
	return apiserver.Config{
		Port:          s.config.HTTPSListenPort,
		Advertise:     s.advertise,
		Datastore:     s.socket(),
		ServiceCIDR:   s.config.ServiceCIDR,
		NodePorts:     s.config.ServiceNodePortRange.String(),
		ClusterDomain: s.config.ClusterDomain,
		Extra:         s.config.KubeAPIServerArg,
	}
}

func (s *Server) controllers(ctx context.Context, ready func()) error {
	return controllers.Run(ctx, controllers.Config{
		Kubeconfig:  s.credential("controllers"),
		PodCIDR:     s.config.ClusterCIDR,
		ServiceCIDR: s.config.ServiceCIDR,
		Extra:       s.config.KubeControllerManagerArg,
	}, s.pki, func() {
		s.built()
		ready()
	})
}

func (s *Server) scheduler(ctx context.Context, ready func()) error {
	return scheduler.Run(ctx, scheduler.Config{Kubeconfig: s.credential("scheduler"), Extra: s.config.KubeSchedulerArg}, ready)
}

func (s *Server) runtimeclasses(ctx context.Context, ready func()) error {
	client, err := kubernetes.NewForConfig(&rest.Config{Host: s.URL(), TLSClientConfig: rest.TLSClientConfig{
		CAFile: s.pki.Authority("server-ca").CertFile(), CertFile: s.pki.Admin.CertFile(), KeyFile: s.pki.Admin.KeyFile(),
	}})
	if err != nil {
		return err
	}
	return runtimeclasses.Run(ctx, client, s.log, ready)
}
