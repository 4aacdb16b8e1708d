package servicelb

import (
	"fmt"
	"reflect"
	"slices"

	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// trim keeps of an object what matters here: every copy costs memory, and what is not kept wakes nobody.
func trim(object any) (any, error) {
	switch o := object.(type) {
	case *core.Service:
		small := o.DeepCopy()
		small.ManagedFields = nil
		return small, nil
	case *discovery.EndpointSlice:
		return trimSlice(o), nil
	}
	return nil, fmt.Errorf("a %T was not asked for", object)
}

func trimMeta(m meta.ObjectMeta) meta.ObjectMeta {
	return meta.ObjectMeta{Namespace: m.Namespace, Name: m.Name, UID: m.UID, ResourceVersion: m.ResourceVersion, Labels: m.Labels}
}

// trimNode is whether the node takes part, and its addresses: what else changes does not matter.
func trimNode(n *core.Node) *core.Node {
	small := &core.Node{ObjectMeta: trimMeta(n.ObjectMeta)}
	small.Spec.Unschedulable = n.Spec.Unschedulable
	for _, c := range n.Status.Conditions {
		if c.Type == core.NodeReady {
			small.Status.Conditions = []core.NodeCondition{{Type: c.Type, Status: c.Status}}
		}
	}
	for _, a := range n.Status.Addresses {
		if a.Type == core.NodeInternalIP || a.Type == core.NodeExternalIP {
			small.Status.Addresses = append(small.Status.Addresses, a)
		}
	}
	return small
}

// trimSlice keeps on which nodes there is an endpoint that is ready.
func trimSlice(s *discovery.EndpointSlice) *discovery.EndpointSlice {
	small := &discovery.EndpointSlice{ObjectMeta: trimMeta(s.ObjectMeta)}
	small.Labels = map[string]string{discovery.LabelServiceName: s.Labels[discovery.LabelServiceName]}
	var nodes []string
	for _, e := range s.Endpoints {
		if e.NodeName != nil && (e.Conditions.Ready == nil || *e.Conditions.Ready) && !slices.Contains(nodes, *e.NodeName) {
			nodes = append(nodes, *e.NodeName)
		}
	}
	slices.Sort(nodes)
	for _, name := range nodes {
		small.Endpoints = append(small.Endpoints, discovery.Endpoint{NodeName: &name})
	}
	return small
}

// same says that nothing that is kept differs but the version.
func same(before, now any) bool { return reflect.DeepEqual(unversioned(before), unversioned(now)) }

func unversioned(object any) any {
	switch o := object.(type) {
	case *core.Service:
		plain := *o
		plain.ResourceVersion = ""
		return plain
	case *core.Node:
		plain := trimNode(o)
		plain.ResourceVersion = ""
		return plain
	case *discovery.EndpointSlice:
		plain := *o
		plain.ResourceVersion = ""
		return plain
	}
	return object
}
