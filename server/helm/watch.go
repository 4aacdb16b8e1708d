package helm

import (
	"context"
	"fmt"
	"slices"
	"sync"

	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/tools/cache"
)

// watch tells of objects of our kinds that come, change in what a user wrote, or go. Only their metadata is read.
func (h *Helm) watch(kind schema.GroupVersionResource, tell func(key types.NamespacedName, gone bool)) (cache.SharedIndexInformer, error) {
	informer := metadatainformer.NewFilteredMetadataInformer(h.clients.Metadata, kind, meta.NamespaceAll, 0, cache.Indexers{}, nil).Informer()
	if err := informer.SetTransform(slim); err != nil {
		return nil, err
	}
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(now any) { tell(keyOf(now), false) },
		UpdateFunc: func(before, now any) {
			was, is := before.(*meta.PartialObjectMetadata), now.(*meta.PartialObjectMetadata)
			if was.Generation != is.Generation || was.UID != is.UID || (was.DeletionTimestamp == nil) != (is.DeletionTimestamp == nil) {
				tell(keyOf(now), false)
			}
		},
		DeleteFunc: func(last any) { tell(keyOf(last), true) },
	})
	if err != nil {
		return nil, fmt.Errorf("watch %s: %w", kind.Resource, err)
	}
	return informer, nil
}

// slim drops what nobody looks at.
func slim(object any) (any, error) {
	if o, ok := object.(*meta.PartialObjectMetadata); ok {
		o.ManagedFields, o.Annotations, o.Labels, o.Finalizers, o.OwnerReferences = nil, nil, nil, nil, nil
	}
	return object, nil
}

func keyOf(object any) types.NamespacedName {
	name, err := cache.DeletionHandlingObjectToName(object)
	if err != nil {
		return types.NamespacedName{}
	}
	return name.AsNamespacedName()
}

// Kinds of objects that a HelmChart can name.
const (
	secrets    = "secrets"
	configMaps = "configmaps"
)

// reference is such an object.
type reference struct{ resource, namespace, name string }

// references watches the objects that HelmCharts name, each alone.
type references struct {
	ctx   context.Context //nolint:containedctx // of the run; watches begin and end within it
	helm  *Helm
	parts *sync.WaitGroup
	mu    sync.Mutex // mu guards used
	used  map[reference]*use
}

// use is by whom an object is named.
type use struct {
	by   []types.NamespacedName
	stop context.CancelFunc
}

func newReferences(ctx context.Context, h *Helm, parts *sync.WaitGroup) *references {
	return &references{ctx: ctx, helm: h, parts: parts, used: map[reference]*use{}}
}

// follow makes these the objects that a HelmChart names.
func (r *references) follow(by types.NamespacedName, list []reference) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for one, u := range r.used {
		if at := slices.Index(u.by, by); at >= 0 && !slices.Contains(list, one) {
			u.by = slices.Delete(u.by, at, at+1)
		}
		if len(u.by) == 0 {
			u.stop()
			delete(r.used, one)
		}
	}
	for _, one := range list {
		u := r.used[one]
		if u == nil {
			u = &use{stop: r.watch(one)}
			r.used[one] = u
		}
		if !slices.Contains(u.by, by) {
			u.by = append(u.by, by)
		}
	}
}

// watch has those woken that name an object, whenever it comes, changes or goes.
func (r *references) watch(one reference) context.CancelFunc {
	ctx, stop := context.WithCancel(r.ctx)
	only := func(o *meta.ListOptions) {
		o.FieldSelector = fields.OneTermEqualSelector("metadata.name", one.name).String()
	}
	kind := schema.GroupVersionResource{Version: "v1", Resource: one.resource}
	informer := metadatainformer.NewFilteredMetadataInformer(r.helm.clients.Metadata, kind, one.namespace, 0, cache.Indexers{}, only).Informer()
	_ = informer.SetTransform(slim) // it fails only for one that runs
	_, _ = informer.AddEventHandler(cache.ResourceEventHandlerDetailedFuncs{
		AddFunc: func(_ any, inFirstList bool) {
			r.changed(one, inFirstList) // it was read before, but may have changed since
		},
		UpdateFunc: func(before, now any) {
			if before.(*meta.PartialObjectMetadata).ResourceVersion != now.(*meta.PartialObjectMetadata).ResourceVersion {
				r.changed(one, false)
			}
		},
		DeleteFunc: func(any) { r.changed(one, false) },
	})
	r.parts.Go(func() { informer.RunWithContext(ctx) })
	return stop
}

// changed wakes those that name an object. Seen first it is mostly what was read, so that nothing is broken off for it.
func (r *references) changed(one reference, first bool) {
	r.mu.Lock()
	var by []types.NamespacedName
	if u := r.used[one]; u != nil {
		by = slices.Clone(u.by)
	}
	r.mu.Unlock()
	for _, key := range by {
		if first {
			r.helm.queue.Add(key)
		} else {
			r.helm.wake(key)
		}
	}
}
