package members

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/skerry-io/skerry/agent/network/overlay"
)

// Config is what a watch needs to know.
type Config struct {
	Reader  string // kubeconfig that may watch all Nodes
	Writer  string // kubeconfig that may annotate this one
	Node    string // this node's name
	Cluster []netip.Prefix
	Changed func() // called when something that matters changed; must not block
}

// List is the list of nodes as it is now.
type List struct {
	config Config
	writer kubernetes.Interface
	store  cache.Store
	run    cache.Controller
}

// Watch prepares the watch; Run runs it.
func Watch(c Config) (*List, error) {
	reader, err := client(c.Reader)
	if err != nil {
		return nil, err
	}
	writer, err := client(c.Writer)
	if err != nil {
		return nil, err
	}
	return list(c, soonListed(cache.NewListWatchFromClient(reader.CoreV1().RESTClient(), "nodes", "", fields.Everything())), writer), nil
}

func list(c Config, source cache.ListerWatcher, writer kubernetes.Interface) *List {
	l := &List{config: c, writer: writer}
	l.store, l.run = cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: source,
		ObjectType:    &core.Node{},
		Transform:     trim,
		Handler: cache.ResourceEventHandlerFuncs{
			AddFunc: func(any) { c.Changed() },
			UpdateFunc: func(old, now any) {
				if matters(old.(*core.Node), now.(*core.Node)) {
					c.Changed()
				}
			},
			DeleteFunc: func(any) { c.Changed() },
		},
	})
	return l
}

func client(kubeconfig string) (kubernetes.Interface, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	return kubernetes.NewForConfig(config)
}

// trim keeps of a Node what matters here: of some hundred Nodes the rest would be megabytes.
func trim(object any) (any, error) {
	node, ok := object.(*core.Node)
	if !ok {
		return object, nil
	}
	small := &core.Node{ObjectMeta: meta.ObjectMeta{Name: node.Name, UID: node.UID, ResourceVersion: node.ResourceVersion}}
	small.Spec.PodCIDRs = node.Spec.PodCIDRs
	for _, name := range names() {
		if value, there := node.Annotations[name]; there {
			if small.Annotations == nil {
				small.Annotations = map[string]string{}
			}
			small.Annotations[name] = value
		}
	}
	return small, nil
}

func matters(old, now *core.Node) bool {
	return old.UID != now.UID || !maps.Equal(old.Annotations, now.Annotations) || !slices.Equal(old.Spec.PodCIDRs, now.Spec.PodCIDRs)
}

// Run follows the Nodes until ctx ends.
func (l *List) Run(ctx context.Context) { l.run.RunWithContext(ctx) }

// Own are this node's ranges; none while the cluster has not given it any, or has not been seen.
func (l *List) Own() []netip.Prefix {
	if node := l.self(); node != nil {
		return ranges(node)
	}
	return nil
}

// Peers are the other nodes that use the backend; false while the whole list was not seen yet.
func (l *List) Peers(backend string) ([]overlay.Peer, bool) {
	if !l.run.HasSynced() {
		return nil, false
	}
	var nodes []*core.Node
	for _, object := range l.store.List() {
		nodes = append(nodes, object.(*core.Node))
	}
	return choose(nodes, l.config.Node, backend, l.config.Cluster), true
}

// Announce tells the others how to reach this node, unless its Node says so already.
func (l *List) Announce(ctx context.Context, a overlay.Announcement) error {
	set := write(a)
	if node := l.self(); node == nil || !differs(node, set) {
		return nil
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": set}})
	if err != nil {
		return err
	}
	if _, err := l.writer.CoreV1().Nodes().Patch(ctx, l.config.Node, types.MergePatchType, patch, meta.PatchOptions{}); err != nil {
		return fmt.Errorf("tell the other nodes how to reach this one: %w", err)
	}
	return nil
}

func (l *List) self() *core.Node {
	object, there, err := l.store.GetByKey(l.config.Node)
	if err != nil || !there {
		return nil
	}
	return object.(*core.Node)
}
