package helm

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/workqueue"

	"github.com/skerry-io/skerry/internal/run"
	source "github.com/skerry-io/skerry/server/helm/charts"
	"github.com/skerry-io/skerry/server/helm/releases"
)

// hands is how many objects are worked on at once. One that waits for its hooks holds one of them.
const hands = 8

// Config is what Helm needs to know.
type Config struct {
	Static string    // the folder of charts that objects name by a path
	Server string    // this server's name, for events
	Rows   *run.Rows // how each object is; nil when nobody asks
	Log    *slog.Logger
}

// Clients reach the API server with all rights.
type Clients struct {
	Core     kubernetes.Interface
	Dynamic  dynamic.Interface
	Metadata metadata.Interface
	Rest     *rest.Config // for the Helm library
}

// ClientsFor makes them from one configuration.
func ClientsFor(c *rest.Config) (Clients, error) {
	to := Clients{Rest: c}
	var err error
	if to.Core, err = kubernetes.NewForConfig(c); err != nil {
		return to, err
	}
	if to.Dynamic, err = dynamic.NewForConfig(c); err != nil {
		return to, err
	}
	to.Metadata, err = metadata.NewForConfig(c)
	return to, err
}

// Helm keeps releases as HelmCharts say. Use New. One server at a time may run it: there is no leader election (ADR 11).
type Helm struct {
	config   Config
	log      *slog.Logger
	clients  Clients
	fetcher  source.Fetcher
	releases *releases.Releases

	queue workqueue.TypedDelayingInterface[types.NamespacedName]
	desk  *desk
	refs  *references
}

// New prepares it; nothing is touched before Run.
func New(c Config) *Helm {
	return &Helm{config: c, log: c.Log, fetcher: source.Fetcher{Static: c.Static}}
}

// Run defines the kinds and looks after their objects until ctx ends. It calls ready at once, as nothing else waits for
// charts. Called again it begins anew.
func (h *Helm) Run(ctx context.Context, c Clients, ready func()) error {
	ready()
	h.clients, h.releases = c, releases.New(c.Rest, h.log)
	if err := define(ctx, c.Dynamic); err != nil {
		return orNil(ctx, err)
	}
	h.queue = workqueue.NewTypedDelayingQueue[types.NamespacedName]()
	ctx, cancel := context.WithCancel(ctx)
	var parts sync.WaitGroup
	h.desk, h.refs = newDesk(), newReferences(ctx, h, &parts)
	defer parts.Wait()
	defer h.queue.ShutDown()
	defer cancel()

	first, any := make(chan struct{}), sync.Once{}
	informer, err := h.watch(charts(), func(key types.NamespacedName, gone bool) {
		any.Do(func() { close(first) })
		if gone {
			h.forget(key)
			return
		}
		h.wake(key)
	})
	if err != nil {
		return err
	}
	parts.Go(func() { informer.RunWithContext(ctx) })
	select {
	case <-first: // until then nobody has a use for the rest
	case <-ctx.Done():
		return nil
	}
	return h.work(ctx, &parts)
}

// work looks after objects, once there are some.
func (h *Helm) work(ctx context.Context, parts *sync.WaitGroup) error {
	if err := served(ctx, h.clients.Dynamic, chartConfigs()); err != nil {
		return orNil(ctx, err)
	}
	configs, err := h.watch(chartConfigs(), func(key types.NamespacedName, _ bool) { h.wake(key) })
	if err != nil {
		return err
	}
	parts.Go(func() { configs.RunWithContext(ctx) })
	for range hands {
		parts.Go(func() { h.toil(ctx) })
	}
	<-ctx.Done()
	return nil
}

// wake has an object looked at, and ends what is being waited for because of what was said before.
func (h *Helm) wake(key types.NamespacedName) {
	h.desk.interrupt(key)
	h.queue.Add(key)
}

// toil works on what was seen, one after the other. The queue gives an object to one hand at a time.
func (h *Helm) toil(ctx context.Context) {
	for {
		key, closed := h.queue.Get()
		if closed {
			return
		}
		if again := h.turn(ctx, key); again > 0 && ctx.Err() == nil {
			h.queue.AddAfter(key, again)
		}
		h.queue.Done(key)
	}
}

// forget drops all that is kept of an object that is gone.
func (h *Helm) forget(key types.NamespacedName) {
	h.refs.follow(key, nil)
	h.desk.forget(key)
	h.config.Rows.Drop(key.String())
}

// orNil forgives errors of a run that is being ended.
func orNil(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("begin with HelmCharts: %w", err)
}
