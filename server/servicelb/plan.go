package servicelb

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	core "k8s.io/api/core/v1"

	"github.com/skerry-io/skerry/internal/wire"
)

// view is the cluster as far as it matters here.
type view struct {
	services  []*core.Service // of type LoadBalancer
	nodes     []*core.Node
	endpoints map[string]map[string]bool // by Service, the nodes on which an endpoint of it is ready
}

// verdict is what a Service should get.
type verdict struct {
	service    *core.Service
	kind       string       // value of LabelServiceLB; empty for a Service that is not ours
	addresses  []netip.Addr // for its status
	announcers []string     // names of nodes, with a pool only
	refusal    *notice      // why it gets no addresses
}

// notice is what an Event says.
type notice struct{ reason, message string }

func because(reason, format string, args ...any) *notice {
	return &notice{reason, fmt.Sprintf(format, args...)}
}

// ours says that a Service wants its addresses from here: one with a class wants them from someone else.
func ours(s *core.Service) bool {
	return s.Spec.Type == core.ServiceTypeLoadBalancer && s.Spec.LoadBalancerClass == nil && s.DeletionTimestamp == nil
}

// isLocal says that only nodes with an endpoint serve the Service.
func isLocal(s *core.Service) bool {
	return s.Spec.ExternalTrafficPolicy == core.ServiceExternalTrafficPolicyLocal
}

// plan says what every Service should get. It depends on nothing but its arguments; what Services have already is in their
// status.
func plan(c Config, v view) []verdict {
	var mine []*core.Service
	var verdicts []verdict
	for _, s := range v.services {
		switch {
		case ours(s):
			mine = append(mine, s)
		case s.Labels[wire.LabelServiceLB] != "":
			verdicts = append(verdicts, verdict{service: s}) // it was, or says that it is
		}
	}
	if len(c.Pool) > 0 {
		return append(verdicts, planPool(c, v, mine)...)
	}
	return append(verdicts, planNodes(c, v, mine)...)
}

// planNodes gives every Service the addresses of the nodes that serve it, unless one of its ports is taken there.
func planNodes(c Config, v view, mine []*core.Service) []verdict {
	inOrder(mine, hasItsPorts)
	var given []grant
	var verdicts []verdict
	for _, s := range mine {
		chosen := choose(s, v.nodes)
		want := grant{service: s, nodes: chosen}
		d := verdict{service: s, kind: wire.ServiceLBNodes}
		d.refusal = reserved(c, s)
		for i := 0; d.refusal == nil && i < len(given); i++ {
			d.refusal = given[i].clash(want)
		}
		if d.refusal == nil {
			given = append(given, want)
			d.addresses = addressesOf(s, serving(s, chosen, v.endpoints[key(s)]))
		}
		verdicts = append(verdicts, d)
	}
	return verdicts
}

// inOrder puts those first that have something already, then older ones.
func inOrder(list []*core.Service, has func(*core.Service) bool) {
	slices.SortFunc(list, func(a, b *core.Service) int {
		if had, has := has(a), has(b); had != has {
			if had {
				return -1
			}
			return 1
		}
		return cmp.Or(a.CreationTimestamp.Time.Compare(b.CreationTimestamp.Time), cmp.Compare(key(a), key(b)))
	})
}
