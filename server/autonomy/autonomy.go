package autonomy

import (
	"context"
	"log/slog"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// comeback is how long after a server's start a Node whose time is over may still come back: it could not while the server
// was down.
const comeback = time.Minute

// Autonomy decides which Nodes are covered. It is an admission plugin of the API server, see Admit and Validate.
type Autonomy struct {
	born   time.Time
	client kubernetes.Interface // the API server's own
	log    *slog.Logger
}

// New begins to count from now on as the server's start.
func New(log *slog.Logger) *Autonomy { return &Autonomy{born: time.Now(), log: log} }

// SetExternalKubeClientSet gives the client by which Nodes are read as they are stored.
func (a *Autonomy) SetExternalKubeClientSet(client kubernetes.Interface) { a.client = client }

// ValidateInitialization has nothing to say: without a client the API server does not start at all.
func (a *Autonomy) ValidateInitialization() error { return nil }

// absence is since when a Node is away.
type absence struct {
	away  bool
	since time.Time
}

// covers says whether a Node with a Rule keeps its pods now.
func (a *Autonomy) covers(r Rule, n absence) bool {
	switch {
	case !n.away || r.None():
		return false
	case r.Always:
		return true
	}
	return time.Now().Before(a.until(r, n))
}

// until is when a Node that is not always covered no longer is.
func (a *Autonomy) until(r Rule, n absence) time.Time {
	end, soonest := r.ends(n.since), a.born.Add(comeback)
	if end.Before(soonest) {
		return soonest
	}
	return end
}

// node is what decides of a Node.
type node struct {
	Rule
	absence
	taints []core.Taint
}

// look reads a Node as it is stored, which no cache can promise. A Node that is gone is not covered.
func (a *Autonomy) look(ctx context.Context, name string) (node, error) {
	n, err := a.client.CoreV1().Nodes().Get(ctx, name, meta.GetOptions{})
	if err != nil {
		return node{}, err
	}
	return of(n), nil
}

// of takes from a Node what decides. A value that means nothing is none.
func of(n *core.Node) node {
	r, _ := RuleOf(n.Labels, n.Annotations)
	found := node{Rule: r, taints: n.Spec.Taints}
	for _, c := range n.Status.Conditions {
		if c.Type == core.NodeReady {
			found.absence = absence{c.Status == core.ConditionUnknown, c.LastTransitionTime.Time}
		}
	}
	return found
}

// onlyAway says that nothing but the node's absence drives pods off it: no other taint does.
func (n node) onlyAway() bool {
	for _, t := range n.taints {
		if t.Effect == core.TaintEffectNoExecute && t.Key != core.TaintNodeUnreachable && t.Key != core.TaintNodeNotReady {
			return false
		}
	}
	return true
}
