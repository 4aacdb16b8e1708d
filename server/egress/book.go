package egress

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// kubeletPort is where a kubelet listens that has not told yet.
const kubeletPort = 10250

// book says which addresses belong to which node. Connections are rare and clusters at the edge small, so it looks
// through all entries instead of keeping indexes.
type book struct {
	complete  chan struct{} // closed by completed, when the first lists are there
	completed func()

	mu          sync.Mutex // guards what follows
	nodes, pods cache.Store
}

// entry is what the book knows of a node.
type entry struct {
	name      string
	kubelet   uint16 // port
	addresses []netip.Addr
	ranges    []netip.Prefix // of its pods
}

func newBook() *book {
	b := &book{complete: make(chan struct{}), nodes: cache.NewStore(cache.MetaNamespaceKeyFunc), pods: cache.NewStore(cache.MetaNamespaceKeyFunc)}
	b.completed = sync.OnceFunc(func() { close(b.complete) })
	return b
}

// run reads nodes, which somebody else watches, and follows pods if asked to, until ctx ends.
func (b *book) run(ctx context.Context, client kubernetes.Interface, nodes cache.SharedIndexInformer, withPods bool) error {
	pods, watchPods := followPods(client)
	b.mu.Lock()
	b.nodes, b.pods = nodes.GetStore(), pods
	b.mu.Unlock()
	var watches sync.WaitGroup
	defer watches.Wait()
	synced := []cache.InformerSynced{nodes.HasSynced}
	if withPods {
		watches.Go(func() { watchPods.RunWithContext(ctx) })
		synced = append(synced, watchPods.HasSynced)
	}
	if cache.WaitForCacheSync(ctx.Done(), synced...) {
		b.completed()
	}
	<-ctx.Done()
	return nil
}

// followPods prepares an informer.
func followPods(client kubernetes.Interface) (cache.Store, cache.Controller) {
	return cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: cache.NewListWatchFromClient(client.CoreV1().RESTClient(), "pods", core.NamespaceAll, fields.Everything()),
		ObjectType:    &core.Pod{},
		Handler:       cache.ResourceEventHandlerFuncs{},
		Transform:     trimPod,
	})
}

// trimPod keeps a pod's place and addresses.
func trimPod(object any) (any, error) {
	pod, ok := object.(*core.Pod)
	if !ok {
		return nil, fmt.Errorf("a %T among the pods", object)
	}
	return &core.Pod{
		ObjectMeta: meta.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID, ResourceVersion: pod.ResourceVersion},
		Spec:       core.PodSpec{NodeName: pod.Spec.NodeName},
		Status:     core.PodStatus{PodIPs: pod.Status.PodIPs, Phase: pod.Status.Phase},
	}, nil
}

func (b *book) stores() (nodes, pods cache.Store) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.nodes, b.pods
}

// node finds a node by its name. One that does not call itself by it has not come from here, and knows no tunnel.
func (b *book) node(name string) (entry, bool) {
	nodes, _ := b.stores()
	object, found, err := nodes.GetByKey(name)
	if err != nil || !found {
		return entry{}, false
	}
	return read(object.(*core.Node))
}

// read makes an entry of a node; ours says that the node calls itself by its name, as all of Skerry's do.
func read(node *core.Node) (e entry, ours bool) {
	e = entry{name: node.Name, kubelet: kubeletPort}
	if port := node.Status.DaemonEndpoints.KubeletEndpoint.Port; port > 0 && port < 1<<16 {
		e.kubelet = uint16(port)
	}
	for _, address := range node.Status.Addresses {
		if address.Type == core.NodeHostName && address.Address == node.Name {
			ours = true
		}
		if ip, err := netip.ParseAddr(address.Address); err == nil {
			e.addresses = append(e.addresses, ip.Unmap())
		}
	}
	for _, text := range append([]string{node.Spec.PodCIDR}, node.Spec.PodCIDRs...) {
		if cidr, err := netip.ParsePrefix(text); err == nil {
			e.ranges = append(e.ranges, cidr)
		}
	}
	return e, ours
}

// all gives the entries of nodes that have tunnels.
func (b *book) all(which func(entry) bool) []entry {
	nodes, _ := b.stores()
	var found []entry
	for _, object := range nodes.List() {
		if e, ours := read(object.(*core.Node)); ours && which(e) {
			found = append(found, e)
		}
	}
	return found
}

// withAddress gives the nodes that have an address; behind routers several can have the same.
func (b *book) withAddress(ip netip.Addr) []entry {
	return b.all(func(e entry) bool { return slices.Contains(e.addresses, ip) })
}

// withPodRange gives the node whose pods have addresses like this one, empty for none.
func (b *book) withPodRange(ip netip.Addr) string {
	found := b.all(func(e entry) bool {
		return slices.ContainsFunc(e.ranges, func(cidr netip.Prefix) bool { return cidr.Contains(ip) })
	})
	if len(found) != 1 {
		return ""
	}
	return found[0].name
}

// withPod gives the node on which a pod has the address, empty when there is none, or no telling which.
func (b *book) withPod(ip netip.Addr) string {
	_, pods := b.stores()
	node := ""
	for _, object := range pods.List() {
		pod := object.(*core.Pod)
		if pod.Spec.NodeName == "" || pod.Spec.NodeName == node || pod.Status.Phase == core.PodSucceeded || pod.Status.Phase == core.PodFailed {
			continue
		}
		for _, at := range pod.Status.PodIPs {
			if has, err := netip.ParseAddr(at.IP); err != nil || has.Unmap() != ip {
				continue
			}
			if node != "" {
				return ""
			}
			node = pod.Spec.NodeName
		}
	}
	if _, ours := b.node(node); !ours {
		return ""
	}
	return node
}
