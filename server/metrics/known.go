package metrics

import (
	"slices"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
)

// reachable are the nodes to sample. One that has been silent for so long that its state is unknown would only keep the
// others' figures waiting.
type reachable struct{ listers.NodeLister }

// List gives the nodes in no order.
func (r reachable) List(which labels.Selector) ([]*core.Node, error) {
	nodes, err := r.NodeLister.List(which)
	return slices.DeleteFunc(nodes, silent), err
}

func silent(node *core.Node) bool {
	return slices.ContainsFunc(node.Status.Conditions, func(c core.NodeCondition) bool {
		return c.Type == core.NodeReady && c.Status == core.ConditionUnknown
	})
}

// running are the pods that can have figures, in the form that metrics-server takes.
type running struct{ pods listers.PodLister }

// List gives the running pods of all namespaces.
func (r running) List(which labels.Selector) ([]runtime.Object, error) {
	return trim(r.pods.List(which))
}

// Get finds a pod by namespace/name.
func (r running) Get(key string) (runtime.Object, error) {
	namespace, name, err := cache.SplitMetaNamespaceKey(key)
	if err != nil {
		return nil, err
	}
	return r.ByNamespace(namespace).Get(name)
}

// ByNamespace gives the pods of one namespace, or of all when it is empty.
func (r running) ByNamespace(namespace string) cache.GenericNamespaceLister {
	return runningIn{r.pods.Pods(namespace)}
}

type runningIn struct{ pods listers.PodNamespaceLister }

// List gives the running pods of the namespace.
func (r runningIn) List(which labels.Selector) ([]runtime.Object, error) {
	return trim(r.pods.List(which))
}

// Get finds a pod by its name.
func (r runningIn) Get(name string) (runtime.Object, error) {
	pod, err := r.pods.Get(name)
	if err != nil {
		return nil, err
	}
	return metadata(pod), nil
}

func trim(pods []*core.Pod, err error) ([]runtime.Object, error) {
	found := make([]runtime.Object, 0, len(pods))
	for _, pod := range pods {
		if pod.Status.Phase == core.PodRunning {
			found = append(found, metadata(pod))
		}
	}
	return found, err
}

// metadata shares its maps with the pod in the cache.
func metadata(pod *core.Pod) *meta.PartialObjectMetadata {
	return &meta.PartialObjectMetadata{ObjectMeta: pod.ObjectMeta}
}
