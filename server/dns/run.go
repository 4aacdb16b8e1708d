package dns

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/skerry-io/skerry/internal/run"
	"github.com/skerry-io/skerry/internal/wire"
)

// Config is what the objects are made from.
type Config struct {
	Addresses []netip.Addr              // of the Service, at most one of each family
	Nodes     cache.SharedIndexInformer // of all Nodes; somebody else runs it
	Rows      *run.Rows                 // is told how the objects are
	Log       *slog.Logger
}

// How long after trouble another try is made.
const (
	soon = time.Second
	late = time.Minute
)

// Run makes the objects and keeps them until ctx ends.
func Run(ctx context.Context, client kubernetes.Interface, c Config, ready func()) error {
	if err := allow(ctx, client); err != nil {
		return err
	}
	k := &keeper{client: client, config: c}
	if err := k.keepService(ctx); err != nil {
		return err
	}
	ready()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	changed := make(chan struct{}, 1)
	shutdown, err := k.watch(ctx, func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	})
	if err != nil {
		return err
	}
	defer shutdown()
	defer stop()
	k.keep(ctx, changed)
	return nil
}

// keeper keeps the objects as they should be.
type keeper struct {
	client kubernetes.Interface
	config Config
	nodes  cache.Store // *core.Node
	slices cache.Store // *discovery.EndpointSlice
}

// watch looks at everything that the objects follow from, and at the objects. The first call is for all there is.
func (k *keeper) watch(ctx context.Context, wake func()) (shutdown func(), err error) {
	ours := informers.WithTweakListOptions(func(o *meta.ListOptions) { o.LabelSelector = labels.Set(sliceLabels()).String() })
	named := informers.WithTweakListOptions(func(o *meta.ListOptions) {
		o.FieldSelector = fields.OneTermEqualSelector("metadata.name", wire.DNSService).String()
	})
	inSystem := informers.WithNamespace(meta.NamespaceSystem)
	forSlices := informers.NewSharedInformerFactoryWithOptions(k.client, 0, inSystem, ours)
	forService := informers.NewSharedInformerFactoryWithOptions(k.client, 0, inSystem, named)
	nodes := k.config.Nodes
	slices := forSlices.Discovery().V1().EndpointSlices().Informer()
	k.nodes, k.slices = nodes.GetStore(), slices.GetStore()

	var following []func() error
	for _, informer := range []cache.SharedIndexInformer{nodes, slices, forService.Core().V1().Services().Informer()} {
		seen, err := informer.AddEventHandlerWithResyncPeriod(cache.ResourceEventHandlerFuncs{
			AddFunc: func(any) { wake() },
			UpdateFunc: func(before, now any) {
				if !same(before, now) {
					wake()
				}
			},
			DeleteFunc: func(any) { wake() },
		}, 0)
		if err != nil {
			return nil, fmt.Errorf("watch what the cluster's DNS follows from: %w", err)
		}
		following = append(following, func() error { return informer.RemoveEventHandler(seen) })
	}
	factories := []informers.SharedInformerFactory{forSlices, forService}
	for _, f := range factories {
		f.Start(ctx.Done())
	}
	cache.WaitForCacheSync(ctx.Done(), nodes.HasSynced, slices.HasSynced)
	wake()
	return func() {
		for _, end := range following {
			_ = end() // fails only when that one has ended
		}
		for _, f := range factories {
			f.Shutdown()
		}
	}, nil
}

// same says that a Node is still where it was: its kubelet reports often. Other objects that are updated have changed.
func same(before, now any) bool {
	a, isNode := before.(*core.Node)
	b, _ := now.(*core.Node)
	return isNode && b != nil && a.UID == b.UID && slices.Equal(a.Status.Addresses, b.Status.Addresses)
}

// keep makes everything as it should be at each change, until ctx ends.
func (k *keeper) keep(ctx context.Context, changed <-chan struct{}) {
	pause := soon
	var again <-chan time.Time
	trouble := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-again:
		}
		again = nil
		err := errors.Join(k.keepService(ctx), k.keepSlices(ctx))
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			pause, trouble = soon, ""
			k.config.Rows.Set(run.Detail{Name: wire.DNSService, State: "in place"})
			continue
		}
		k.config.Rows.Set(run.Detail{Name: wire.DNSService, State: "trying", Bad: true, Err: err})
		if text := err.Error(); text != trouble {
			trouble = text
			k.config.Log.Warn("the objects of the cluster's DNS are not as they should be; trying on", "err", err)
		}
		again = time.After(pause)
		pause = min(2*pause, late)
	}
}

// Remove takes away all that Run makes.
func Remove(ctx context.Context, client kubernetes.Interface) error {
	services, slices := client.CoreV1().Services(meta.NamespaceSystem), client.DiscoveryV1().EndpointSlices(meta.NamespaceSystem)
	service, err := services.Get(ctx, wire.DNSService, meta.GetOptions{})
	if err == nil && isOurs(service) {
		err = services.Delete(ctx, wire.DNSService, meta.DeleteOptions{})
	}
	errs := []error{absent(err), forbid(ctx, client)}
	ours, err := slices.List(ctx, meta.ListOptions{LabelSelector: labels.Set(sliceLabels()).String()})
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	for _, s := range ours.Items {
		errs = append(errs, absent(slices.Delete(ctx, s.Name, meta.DeleteOptions{})))
	}
	return errors.Join(errs...)
}
