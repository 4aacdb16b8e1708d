package netpol

import (
	"context"
	"fmt"
	"net/netip"
	"reflect"
	"strings"

	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// watch is one kind of objects that is being followed.
type watch struct {
	store  cache.Store
	synced cache.InformerSynced
	stop   func() // returns when nothing of it runs any more
}

// follow starts to watch a kind. changed is called at each change that matters, and once the first list is there.
func follow(ctx context.Context, client kubernetes.Interface, changed func(),
	kind func(informers.SharedInformerFactory) cache.SharedIndexInformer, trim cache.TransformFunc, options ...informers.SharedInformerOption,
) (*watch, error) {
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, append(options, informers.WithTransform(trim))...)
	informer := kind(factory)
	seen, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { changed() },
		UpdateFunc: func(before, now any) {
			if !same(before, now) {
				changed()
			}
		},
		DeleteFunc: func(any) { changed() },
	})
	if err != nil {
		return nil, fmt.Errorf("watch what network policies follow from: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	factory.Start(ctx.Done())
	first := make(chan struct{})
	go func() {
		defer close(first)
		if cache.WaitForCacheSync(ctx.Done(), seen.HasSynced) {
			changed() // also when the list is empty
		}
	}()
	return &watch{store: informer.GetStore(), synced: seen.HasSynced, stop: func() {
		cancel()
		factory.Shutdown()
		<-first
	}}, nil
}

func followPolicies(ctx context.Context, client kubernetes.Interface, changed func()) (*watch, error) {
	return follow(ctx, client, changed, func(f informers.SharedInformerFactory) cache.SharedIndexInformer {
		return f.Networking().V1().NetworkPolicies().Informer()
	}, trimPolicy)
}

func followNamespaces(ctx context.Context, client kubernetes.Interface, changed func()) (*watch, error) {
	return follow(ctx, client, changed, func(f informers.SharedInformerFactory) cache.SharedIndexInformer {
		return f.Core().V1().Namespaces().Informer()
	}, trimNamespace)
}

// followPods leaves out what policies do not apply to: pods in the host's network, and pods that have ended, whose addresses
// may be another's by now.
func followPods(ctx context.Context, client kubernetes.Interface, node string, changed func()) (*watch, error) {
	return follow(ctx, client, changed, func(f informers.SharedInformerFactory) cache.SharedIndexInformer {
		return f.Core().V1().Pods().Informer()
	}, func(o any) (any, error) { return trimPod(o, node) }, informers.WithTweakListOptions(func(o *meta.ListOptions) {
		o.FieldSelector = "spec.hostNetwork=false,status.phase!=Succeeded,status.phase!=Failed"
	}))
}

// kept is a pod in a watch's store, without all that policies do not look at.
type kept struct {
	meta.ObjectMeta
	pod *pod
}

// identity is what a store needs of an object.
func identity(o *meta.ObjectMeta) meta.ObjectMeta {
	return meta.ObjectMeta{Namespace: o.Namespace, Name: o.Name, UID: o.UID, ResourceVersion: o.ResourceVersion}
}

func trimPolicy(object any) (any, error) {
	p, ok := object.(*networking.NetworkPolicy)
	if !ok {
		return object, nil
	}
	return &networking.NetworkPolicy{ObjectMeta: identity(&p.ObjectMeta), Spec: p.Spec}, nil
}

func trimNamespace(object any) (any, error) {
	n, ok := object.(*core.Namespace)
	if !ok {
		return object, nil
	}
	trimmed := &core.Namespace{ObjectMeta: identity(&n.ObjectMeta)}
	trimmed.Labels = n.Labels
	return trimmed, nil
}

// hashAnnotation is, on the object that stands for a pod out of a file, the UID by which its node knows the pod.
const hashAnnotation = "kubernetes.io/config.hash"

func trimPod(object any, node string) (any, error) {
	p, ok := object.(*core.Pod)
	if !ok {
		return object, nil
	}
	one := &pod{namespace: p.Namespace, name: p.Name, uid: string(p.UID), labels: p.Labels, local: p.Spec.NodeName == node,
		static: p.Annotations[hashAnnotation]}
	for _, ip := range p.Status.PodIPs {
		if a, err := netip.ParseAddr(ip.IP); err == nil {
			one.addresses = append(one.addresses, a.Unmap())
		}
	}
	for _, c := range p.Spec.InitContainers {
		if c.RestartPolicy != nil && *c.RestartPolicy == core.ContainerRestartPolicyAlways {
			one.addPorts(c.Ports)
		}
	}
	for _, c := range p.Spec.Containers {
		one.addPorts(c.Ports)
	}
	return &kept{ObjectMeta: identity(&p.ObjectMeta), pod: one}, nil
}

func (p *pod) addPorts(ports []core.ContainerPort) {
	for _, c := range ports {
		if protocol, known := protocolOf(&c.Protocol); c.Name != "" && (known || c.Protocol == "") {
			if c.Protocol == "" {
				protocol = "tcp"
			}
			p.ports = append(p.ports, namedPort{strings.Clone(c.Name), protocol, uint16(c.ContainerPort)})
		}
	}
}

// same says that nothing has changed that rules follow from.
func same(before, now any) bool {
	switch b := before.(type) {
	case *kept:
		n, ok := now.(*kept)
		return ok && reflect.DeepEqual(b.pod, n.pod)
	case *core.Namespace:
		n, ok := now.(*core.Namespace)
		return ok && reflect.DeepEqual(b.Labels, n.Labels)
	case *networking.NetworkPolicy:
		n, ok := now.(*networking.NetworkPolicy)
		return ok && b.UID == n.UID && reflect.DeepEqual(b.Spec, n.Spec)
	}
	return false
}
