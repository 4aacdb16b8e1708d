package servicelb

import (
	"context"
	"errors"

	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// watches are what is followed of the cluster. Nodes and endpoints change all the time, so each is followed only once there
// is a Service that it matters to.
type watches struct {
	client  kubernetes.Interface
	changed func()
	left    func() // an object is no longer there
	running []informers.SharedInformerFactory
	cancel  []context.CancelFunc

	balanced, slices cache.SharedIndexInformer              // nil while not followed
	nodes            cache.SharedIndexInformer              // of the whole server
	onNodes          cache.ResourceEventHandlerRegistration // nil while they do not matter
}

// errEnded says that ctx ended before the first list was there.
var errEnded = errors.New("ended before the first list")

// follow starts to watch a kind and waits for its first list.
func (w *watches) follow(ctx context.Context, kind func(informers.SharedInformerFactory) cache.SharedIndexInformer, options ...informers.SharedInformerOption) (cache.SharedIndexInformer, error) {
	ctx, cancel := context.WithCancel(ctx)
	w.cancel = append(w.cancel, cancel)
	factory := informers.NewSharedInformerFactoryWithOptions(w.client, 0, append(options, informers.WithTransform(trim))...)
	informer := kind(factory)
	seen, err := w.listen(informer)
	if err != nil {
		return nil, err
	}
	w.running = append(w.running, factory)
	factory.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), seen.HasSynced) {
		return nil, errEnded
	}
	return informer, nil
}

// listen has changes of what an informer knows told.
func (w *watches) listen(informer cache.SharedIndexInformer) (cache.ResourceEventHandlerRegistration, error) {
	return informer.AddEventHandlerWithResyncPeriod(cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { w.changed() },
		UpdateFunc: func(before, now any) {
			if !same(before, now) {
				w.changed()
			}
		},
		DeleteFunc: func(any) { w.left() },
	}, 0)
}

// services starts the watch of Services that are balanced. One that changes its type leaves it.
func (w *watches) services(ctx context.Context) (err error) {
	w.balanced, err = w.follow(ctx, func(f informers.SharedInformerFactory) cache.SharedIndexInformer {
		return f.Core().V1().Services().Informer()
	},
		informers.WithTweakListOptions(func(o *meta.ListOptions) { o.FieldSelector = "spec.type=" + string(core.ServiceTypeLoadBalancer) }))
	if errors.Is(err, errEnded) {
		return nil
	}
	return err
}

// look gives the cluster as it is now.
func (w *watches) look(ctx context.Context) (view, error) {
	v := view{services: listed[core.Service](w.balanced)}
	some, local := false, false
	for _, s := range v.services {
		some = some || ours(s)
		local = local || ours(s) && isLocal(s)
	}
	var err error
	if some && w.onNodes == nil {
		if w.onNodes, err = w.listen(w.nodes); err == nil && !cache.WaitForCacheSync(ctx.Done(), w.onNodes.HasSynced) {
			err = errEnded
		}
	}
	if local && w.slices == nil && err == nil {
		w.slices, err = w.follow(ctx, func(f informers.SharedInformerFactory) cache.SharedIndexInformer {
			return f.Discovery().V1().EndpointSlices().Informer()
		})
	}
	if err != nil {
		return view{}, err
	}
	if w.onNodes != nil {
		v.nodes = listed[core.Node](w.nodes)
	}
	v.endpoints = nodesWithEndpoints(listed[discovery.EndpointSlice](w.slices))
	return v, nil
}

// stop ends all watches and waits for them.
func (w *watches) stop() {
	if w.onNodes != nil {
		_ = w.nodes.RemoveEventHandler(w.onNodes) // fails only when the informer has ended
	}
	for _, cancel := range w.cancel {
		cancel()
	}
	for _, factory := range w.running {
		factory.Shutdown()
	}
}

// listed are the objects that an informer knows; a nil one knows none.
func listed[T any](informer cache.SharedIndexInformer) []*T {
	if informer == nil {
		return nil
	}
	var all []*T
	for _, object := range informer.GetStore().List() {
		if item, ok := any(object).(*T); ok {
			all = append(all, item)
		}
	}
	return all
}
