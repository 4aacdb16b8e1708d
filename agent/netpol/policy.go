package netpol

import (
	"errors"
	"fmt"
	"slices"

	networking "k8s.io/api/networking/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/skerry-io/skerry/internal/fault"
)

// policy is a NetworkPolicy that was read. What could not be read in it lets nothing pass.
type policy struct {
	key       string // namespace/name
	namespace string
	pods      labels.Selector
	ways      map[way][]allowance // has a way when the policy is about it
}

// allowance is one rule of a policy: these peers, at these doors.
type allowance struct {
	anyone bool
	peers  []peer
	doors  []door
}

// peer is one entry of from or to: pods, or a block of addresses.
type peer struct {
	namespace  string          // of the pods, unless namespaces is set
	namespaces labels.Selector // nil: only namespace
	pods       labels.Selector // nil for a block
	block      []addresses
}

// key says which pods are meant, in words that are the same for two selectors with the same meaning.
func (p peer) key() string {
	if p.namespaces == nil {
		return "=" + p.namespace + "|" + p.pods.String()
	}
	return "~" + p.namespaces.String() + "|" + p.pods.String()
}

// read takes a policy apart. The error joins all that could not be read; a policy whose own selector cannot be read is nil.
func read(n *networking.NetworkPolicy) (*policy, error) {
	pods, err := meta.LabelSelectorAsSelector(&n.Spec.PodSelector)
	if err != nil {
		return nil, fmt.Errorf("podSelector: %w", err)
	}
	p := &policy{key: n.Namespace + "/" + n.Name, namespace: n.Namespace, pods: pods, ways: map[way][]allowance{}}
	var errs []error
	in, out := about(n)
	if in {
		p.ways[ingress] = []allowance{}
		for i, r := range n.Spec.Ingress {
			a, err := readRule(n.Namespace, r.From, r.Ports)
			if err != nil {
				errs = append(errs, fmt.Errorf("rule %d of ingress: %w", i+1, err))
			}
			p.ways[ingress] = append(p.ways[ingress], a)
		}
	}
	if out {
		p.ways[egress] = []allowance{}
		for i, r := range n.Spec.Egress {
			a, err := readRule(n.Namespace, r.To, r.Ports)
			if err != nil {
				errs = append(errs, fmt.Errorf("rule %d of egress: %w", i+1, err))
			}
			p.ways[egress] = append(p.ways[egress], a)
		}
	}
	return p, errors.Join(errs...)
}

// about says which ways a policy is about. Without a word it is about ingress, and about egress when it has such rules.
func about(n *networking.NetworkPolicy) (in, out bool) {
	types := n.Spec.PolicyTypes
	if len(types) == 0 {
		return true, len(n.Spec.Egress) > 0
	}
	return slices.Contains(types, networking.PolicyTypeIngress), slices.Contains(types, networking.PolicyTypeEgress)
}

func readRule(namespace string, peers []networking.NetworkPolicyPeer, ports []networking.NetworkPolicyPort) (allowance, error) {
	a := allowance{anyone: len(peers) == 0}
	var errs []error
	for _, n := range peers {
		p, err := readPeer(namespace, n)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		a.peers = append(a.peers, p)
	}
	var err error
	a.doors, err = doors(ports)
	return a, errors.Join(append(errs, err)...)
}

func readPeer(namespace string, n networking.NetworkPolicyPeer) (peer, error) {
	if n.IPBlock != nil {
		if n.PodSelector != nil || n.NamespaceSelector != nil {
			return peer{}, fault.New("a peer has an ipBlock and a selector").Fix("make two peers of it")
		}
		ranges, err := block(n.IPBlock)
		return peer{block: ranges}, err
	}
	if n.PodSelector == nil && n.NamespaceSelector == nil {
		return peer{}, fault.New("a peer names nobody").Fix("give it a podSelector, a namespaceSelector or an ipBlock; {} as a podSelector means all pods of the namespace")
	}
	p := peer{namespace: namespace, pods: labels.Everything()}
	var err error
	if n.PodSelector != nil {
		if p.pods, err = meta.LabelSelectorAsSelector(n.PodSelector); err != nil {
			return peer{}, fmt.Errorf("podSelector: %w", err)
		}
	}
	if n.NamespaceSelector != nil {
		if p.namespaces, err = meta.LabelSelectorAsSelector(n.NamespaceSelector); err != nil {
			return peer{}, fmt.Errorf("namespaceSelector: %w", err)
		}
	}
	return p, nil
}
