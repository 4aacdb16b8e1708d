package hold

import (
	"log/slog"
	"sync"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	listers "k8s.io/client-go/listers/core/v1"

	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/wire"
)

const (
	// Key is the annotation, or label, of a Deployment, StatefulSet, DaemonSet or Node. The annotation counts when both are there.
	Key = wire.HoldKey
	// Since is the label of what is held up just now: pods, and Deployments that the hold has paused. Its value is the time from
	// which on, in sinceForm.
	Since = "skerry.io/held-since"
	// sinceForm is RFC 3339 in UTC as far as a label's value may look like it.
	sinceForm = "2006-01-02T15.04.05Z"
	// Plugin is the name under which the API server knows it, for example in disable-admission-plugins.
	Plugin = "SkerryHold"
)

// mostRefused bounds what waits to be marked.
const mostRefused = 1000

// Held reads the hold of an object. With an error, which says what is wrong with the value, it is none.
func Held(labels, annotations map[string]string) (bool, error) {
	text, ok := annotations[Key]
	if !ok {
		text, ok = labels[Key]
	}
	switch {
	case !ok, text == "false":
		return false, nil
	case text == "true":
		return true, nil
	}
	return false, fault.New("%q is no value of %s", text, Key).Fix("say true, or false")
}

// Hold is an admission plugin of the API server, and follows what it has held up.
type Hold struct {
	client kubernetes.Interface // the API server's own
	nodes  listers.NodeLister   // of what the API server knows anyway
	log    *slog.Logger
	look   chan struct{} // tells Run that something may have changed

	mu    sync.Mutex                      // guards what follows
	fresh map[types.NamespacedName]string // pods whose deletion was refused since Run looked, and what holds them
}

// New holds nothing yet.
func New(log *slog.Logger) *Hold {
	return &Hold{log: log, look: make(chan struct{}, 1), fresh: map[types.NamespacedName]string{}}
}

// SetExternalKubeClientSet gives the client by which workloads are read as they are stored.
func (h *Hold) SetExternalKubeClientSet(client kubernetes.Interface) { h.client = client }

// SetExternalKubeInformerFactory gives the Nodes that the API server watches for itself.
func (h *Hold) SetExternalKubeInformerFactory(known informers.SharedInformerFactory) {
	h.nodes = known.Core().V1().Nodes().Lister()
}

// ValidateInitialization has nothing to say: without both the API server does not start at all.
func (h *Hold) ValidateInitialization() error { return nil }

// refused notes a pod for Run to mark. More than anybody would look at are not noted: controllers ask again.
func (h *Hold) refused(name types.NamespacedName, why string) {
	h.mu.Lock()
	if len(h.fresh) < mostRefused {
		h.fresh[name] = why
	}
	h.mu.Unlock()
	h.wake()
}

// takeRefused gives what was noted since the last call.
func (h *Hold) takeRefused() map[types.NamespacedName]string {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := h.fresh
	h.fresh = map[types.NamespacedName]string{}
	return all
}

// wake has Run look.
func (h *Hold) wake() {
	select {
	case h.look <- struct{}{}:
	default: // it is about to
	}
}

// nodeHeld says that a Node is held, as far as the API server knows.
func (h *Hold) nodeHeld(name string) bool {
	n, err := h.nodes.Get(name)
	return err == nil && isHeld(n)
}

func isHeld(n *core.Node) bool {
	held, _ := Held(n.Labels, n.Annotations)
	return held
}
