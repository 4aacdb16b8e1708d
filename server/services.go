package server

import (
	"context"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/skerry-io/skerry/internal/run"
	"github.com/skerry-io/skerry/internal/wire"
	"github.com/skerry-io/skerry/server/apiserver"
	"github.com/skerry-io/skerry/server/controllers"
	"github.com/skerry-io/skerry/server/manifests"
	"github.com/skerry-io/skerry/server/metrics"
	"github.com/skerry-io/skerry/server/nodesettings"
	"github.com/skerry-io/skerry/server/runtimeclasses"
	"github.com/skerry-io/skerry/server/scheduler"
	"github.com/skerry-io/skerry/server/storage"
	"github.com/skerry-io/skerry/server/supervisor"
)

// Services is the table of what a server runs.
func (s *Server) Services() []run.Service {
	var ready atomic.Bool
	volumes := s.volumes()
	routes := s.supervisor(ready.Load, volumes)
	port := supervisor.NewPort(listenAddress(s.config), s.serving.Load, routes, s.log)
	if s.inEtcd {
		port.Stalled(s.stalled)
	}
	api := apiserver.New(s.apiserver(), s.pki, port.SetAPI)
	table := []run.Service{
		{Name: "port", Run: port.Run},
		{Name: "certificates", Run: s.certificates},
		{Name: "datastore", Run: s.datastore, Grace: 5 * time.Second, Details: s.memberDetails},
		{Name: "apiserver", Needs: []string{"port", "datastore"}, Grace: 4 * time.Second,
			Run: func(ctx context.Context, isReady func()) error {
				return api.Run(ctx, func() { ready.Store(true); isReady() })
			}},
		{Name: "losses", Needs: []string{"apiserver"}, Run: s.tellLosses, Again: run.Backoff{Min: time.Second, Max: time.Minute}},
		{Name: "node-key", Needs: []string{"apiserver"}, Run: routes.RecordOwn},
		{Name: "controllers", Needs: []string{"apiserver"}, Run: s.controllers},
		{Name: "scheduler", Needs: []string{"apiserver"}, Run: s.scheduler},
		{Name: "dns-service", Needs: []string{"apiserver"}, Run: s.dns, Again: run.Backoff{Min: time.Second, Max: time.Minute}, Details: s.told.dns.Details},
		{Name: "metrics", Needs: []string{"apiserver"}, Run: s.sample, Again: run.Backoff{Min: time.Second, Max: time.Minute}, Details: s.told.metrics.Details},
		{Name: "account-rights", Needs: []string{"apiserver"}, Run: s.rights.Run},
		{Name: "policy-rights", Needs: []string{"apiserver"}, Run: s.netpol, Again: run.Backoff{Min: time.Second, Max: time.Minute}},
		{Name: "nodesettings", Needs: []string{"apiserver"}, Run: s.nodesettings, Again: run.Backoff{Min: time.Second, Max: time.Minute}},
		{Name: "runtimeclasses", Needs: []string{"apiserver"}, Run: s.runtimeclasses, Again: run.Backoff{Min: time.Second, Max: time.Minute}},
		s.secretsService(),
		{Name: "servicelb", Needs: []string{"apiserver"}, Run: s.servicelb, Again: run.Backoff{Min: time.Second, Max: time.Minute}, Details: s.told.servicelb.Details},
	}
	table = append(table, run.Service{Name: "storage", Needs: []string{"apiserver"}, Again: run.Backoff{Min: time.Second, Max: time.Minute},
		Run: func(ctx context.Context, ready func()) error { return s.storage(ctx, volumes, ready) }, Details: s.told.storage.Details})
	table = append(table, run.Service{Name: "autonomy", Needs: []string{"apiserver"}, Run: s.autonomous, Again: run.Backoff{Min: time.Second, Max: time.Minute}})
	table = append(table, s.backupServices()...)
	table = append(table, run.Service{Name: "hold", Needs: []string{"apiserver"}, Run: s.held, Again: run.Backoff{Min: time.Second, Max: time.Minute}})
	if s.egress != nil {
		table = append(table, run.Service{Name: "egress", Needs: []string{"apiserver"}, Run: s.reach})
	}
	if s.manifests != nil {
		table = append(table, run.Service{Name: "manifests", Needs: []string{"apiserver"}, Run: s.apply, Again: run.Backoff{Min: time.Second, Max: time.Minute},
			Details: s.manifestDetails})
	}
	if !s.without("helm") {
		table = append(table, run.Service{Name: "helm", Needs: []string{"apiserver"}, Run: s.helm, Again: run.Backoff{Min: time.Second, Max: time.Minute},
			Grace: 5 * time.Second, Details: s.told.helm.Details})
	}
	return s.together(table)
}

// apply keeps the cluster as the user's manifests say. An answer may take as long as the slowest webhook.
func (s *Server) apply(ctx context.Context, ready func()) error {
	c := s.adminConfig()
	c.Timeout = 15 * time.Second
	var to manifests.Clients
	var err error
	if to.Core, err = kubernetes.NewForConfig(c); err != nil {
		return err
	}
	if to.Dynamic, err = dynamic.NewForConfig(c); err != nil {
		return err
	}
	return s.manifests.Run(ctx, to, ready)
}

// without says that the user does without a component.
func (s *Server) without(component string) bool { return slices.Contains(s.config.Disable, component) }

// reach keeps what the API server needs to know of nodes to connect to them, and ends their tunnels with itself.
func (s *Server) reach(ctx context.Context, ready func()) error {
	defer s.tunnels.Close()
	client, err := s.admin()
	if err != nil {
		return err
	}
	return s.egress.Run(ctx, client, s.nodes, ready)
}

// supervisor is the routes of our own on the API port. ready says that the API server answers.
func (s *Server) supervisor(ready func() bool, volumes *storage.Storage) *supervisor.Supervisor {
	admin := sync.OnceValues(s.admin)
	c := supervisor.Config{
		PKI:     s.pki,
		Tokens:  s.tokens,
		Cluster: s.cluster(),
		Own:     s.ownNode(),
		Client: func() kubernetes.Interface {
			if !ready() {
				return nil
			}
			client, err := admin()
			if err != nil {
				s.log.Error("an administrator's client could not be made", "err", err)
				return nil
			}
			return client
		},
		Servers: s.servers,
		Taken:   s.takenByServers,
		Changed: s.shared.Publish,
		Secrets: s.secrets,
		Rights:  s.rights,
		Report:  s.report,
		Log:     s.log,
	}
	if s.several() {
		c.Entry = s
	}
	if s.tunnels != nil {
		c.Connect = s.tunnels.For
	}
	if volumes != nil {
		c.Volumes = volumes
	}
	return supervisor.New(c)
}

// advertised is the URL by which other machines reach this server.
func (s *Server) advertised() string {
	return "https://" + net.JoinHostPort(s.advertise.String(), strconv.Itoa(s.config.HTTPSListenPort))
}

// admin is a client with all rights. Its requests are not slowed down: who may cause them is limited where they come from.
func (s *Server) admin() (kubernetes.Interface, error) {
	return kubernetes.NewForConfig(s.adminConfig())
}

func (s *Server) adminConfig() *rest.Config {
	return &rest.Config{Host: s.URL(), QPS: -1, TLSClientConfig: rest.TLSClientConfig{
		CAFile: s.pki.Authority("server-ca").CertFile(), CertFile: s.pki.Admin.CertFile(), KeyFile: s.pki.Admin.KeyFile(),
	}}
}

func (s *Server) cluster() wire.Cluster {
	c := s.config
	return wire.Cluster{ClusterCIDR: c.ClusterCIDR, ServiceCIDR: c.ServiceCIDR, ClusterDNS: c.ClusterDNS, ClusterDomain: c.ClusterDomain,
		KubeProxyOff: c.DisableKubeProxy, Backend: c.FlannelBackend, ExternalIP: c.FlannelExternalIP, Tunnel: c.EgressSelectorMode, Disabled: c.Disable, CertificateLife: c.NodeCertificateLifetime}
}

func (s *Server) apiserver() apiserver.Config {
	c := apiserver.Config{
		Port:          s.config.HTTPSListenPort,
		Advertise:     s.advertise,
		Datastore:     s.endpoint(),
		Alone:         !s.elsewhere() && !s.inEtcd,
		ServiceCIDR:   s.config.ServiceCIDR,
		NodePorts:     s.config.ServiceNodePortRange.String(),
		ClusterDomain: s.config.ClusterDomain,
		Extra:         s.config.KubeAPIServerArg,
		Secrets:       s.secrets.Storage,
	}
	if s.egress != nil {
		c.Dial, c.DialPods = s.egress.Dial, s.egress.CoversPods()
	}
	c.Extend, c.Vouch = s.extend, s.rights.Vouch
	c.Admission = s.admission()
	if s.metrics != nil {
		c.ExtendKinds = metrics.Kinds()
	}
	return c
}

// extend adds what other rooms serve to the API server, before it starts, and has them see the objects that it knows: one watch
// for all.
func (s *Server) extend(api *genericapiserver.GenericAPIServer, known informers.SharedInformerFactory) error {
	s.nodes = known.Core().V1().Nodes().Informer()
	if err := s.rights.See(known); err != nil {
		return err
	}
	if s.metrics == nil {
		return nil
	}
	return s.metrics.Serve(api, known)
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

// nodesettings seals what it writes with the one secret that all servers of a cluster share and keep.
func (s *Server) nodesettings(ctx context.Context, ready func()) error {
	client, err := s.admin()
	if err != nil {
		return err
	}
	secret, err := s.pki.ServiceAccountKey.Bytes()
	if err != nil {
		return err
	}
	own := s.ownNode()
	if s.several() {
		own = "" // every server gives its own Node its role
	}
	return nodesettings.Run(ctx, client, nodesettings.Config{Own: own, Nodes: s.nodes, Secret: secret, Log: s.log}, ready)
}

func (s *Server) runtimeclasses(ctx context.Context, ready func()) error {
	client, err := s.admin()
	if err != nil {
		return err
	}
	return runtimeclasses.Run(ctx, client, s.nodes, s.log, ready)
}
