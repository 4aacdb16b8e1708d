package metrics

import (
	"context"
	"fmt"
	"net"
	"time"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/metrics-server/pkg/api"
	"sigs.k8s.io/metrics-server/pkg/scraper"
	"sigs.k8s.io/metrics-server/pkg/scraper/client"
	"sigs.k8s.io/metrics-server/pkg/scraper/client/resource"
	"sigs.k8s.io/metrics-server/pkg/storage"

	"github.com/skerry-io/skerry/internal/run"
)

const (
	// kubeletPort is where a kubelet listens that has not told yet.
	kubeletPort = 10250
	// kubeletPatience bounds what one kubelet may take; behind a mobile link a tunnel's round trip is a second.
	kubeletPatience = 10 * time.Second
	// resolution is how far apart metrics-server expects samples: a container younger than this counts from its start.
	resolution = 15 * time.Second
)

// Config says how kubelets are reached.
type Config struct {
	CAFile            string // signs what kubelets serve with
	CertFile, KeyFile string // who asks them

	// Dial makes the connections, and knows nodes by their names; nil leaves them to the network.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	Rows *run.Rows // is told of nodes without figures
}

// Metrics is the metrics API, and what fills it.
type Metrics struct {
	config  Config
	sampler *sampler
}

// New prepares the metrics API.
func New(c Config) *Metrics {
	return &Metrics{c, newSampler(storage.NewStorage(resolution))}
}

// Kinds are those of the API, for its description.
func Kinds() *runtime.Scheme { return api.Scheme }

// Serve adds the API to the API server, before that starts. What it needs to know of nodes and pods it takes from the
// caches that the API server keeps for its own authorizer.
func (m *Metrics) Serve(server *genericapiserver.GenericAPIServer, known informers.SharedInformerFactory) error {
	kubelets, err := resource.NewForConfig(kubelets(m.config))
	if err != nil {
		return fmt.Errorf("prepare to ask kubelets for their figures: %w", err)
	}
	nodes := known.Core().V1().Nodes().Lister()
	sample := scraper.NewScraper(reachable{nodes}, telling{kubelets, m.config.Rows}, kubeletPatience, nil).Scrape
	m.sampler.scrape = told(m.config.Rows, reachable{nodes}, sample)
	if err := api.Install(m.sampler, running{known.Core().V1().Pods().Lister()}, nodes, server, nil); err != nil {
		return fmt.Errorf("add metrics.k8s.io to the API server: %w", err)
	}
	return nil
}

// kubelets says how to ask one.
func kubelets(c Config) *client.KubeletClientConfig {
	addresses := []core.NodeAddressType{core.NodeInternalIP, core.NodeExternalIP, core.NodeHostName}
	if c.Dial != nil {
		addresses = []core.NodeAddressType{core.NodeHostName, core.NodeInternalIP, core.NodeExternalIP}
	}
	return &client.KubeletClientConfig{
		Client: rest.Config{Dial: c.Dial, Timeout: kubeletPatience,
			TLSClientConfig: rest.TLSClientConfig{CAFile: c.CAFile, CertFile: c.CertFile, KeyFile: c.KeyFile}},
		AddressTypePriority: addresses,
		Scheme:              "https",
		DefaultPort:         kubeletPort,
		UseNodeStatusPort:   true,
	}
}

// Run announces the API and samples until ctx ends. The API server that Serve was called with has to answer by then.
func (m *Metrics) Run(ctx context.Context, to Clients, ready func()) error {
	if err := announce(ctx, to); err != nil {
		return err
	}
	ready()
	m.sampler.run(ctx)
	return nil
}
