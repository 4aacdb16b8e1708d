package servicelb

import (
	"fmt"
	"slices"

	core "k8s.io/api/core/v1"
)

// Reserved is a port that a node needs itself. kube-proxy would lead what comes for it to a Service's pods.
type Reserved struct {
	Protocol core.Protocol
	Port     int
	Owner    string // "the API server"
}

// reserved says which of a Service's ports cannot be had at the addresses of nodes; nil when all can.
func reserved(c Config, s *core.Service) *notice {
	for _, p := range s.Spec.Ports {
		i := slices.IndexFunc(c.Reserved, func(r Reserved) bool { return r.Protocol == p.Protocol && r.Port == int(p.Port) })
		if i >= 0 {
			return because("PortReserved", "nodes need port %s for %s; give the Service another port", name(p), c.Reserved[i].Owner)
		}
		if c.NodePorts.Contains(int(p.Port)) && p.Port != p.NodePort {
			return because("PortReserved", "port %s lies in the range of NodePorts %s; give the Service another port", name(p), c.NodePorts)
		}
	}
	return nil
}

// name is a port as people write it: 80/TCP.
func name(p core.ServicePort) string { return fmt.Sprintf("%d/%s", p.Port, p.Protocol) }

// grant is that a Service has its ports at the addresses of nodes, whether these serve it just now or not: what a Service
// has must not depend on where a pod of another one happens to be.
type grant struct {
	service *core.Service
	nodes   []*core.Node
}

// clash says that another Service wants a port of this one at the same addresses.
func (g grant) clash(other grant) *notice {
	if !slices.ContainsFunc(g.nodes, func(n *core.Node) bool { return slices.Contains(other.nodes, n) }) {
		return nil
	}
	if !slices.ContainsFunc(g.service.Spec.IPFamilies, func(f core.IPFamily) bool { return slices.Contains(other.service.Spec.IPFamilies, f) }) {
		return nil
	}
	for _, p := range other.service.Spec.Ports {
		if slices.ContainsFunc(g.service.Spec.Ports, func(q core.ServicePort) bool { return p.Port == q.Port && p.Protocol == q.Protocol }) {
			return because("PortTaken", "port %s of the nodes belongs to Service %s; give this one another port, or other nodes by the label %s",
				name(p), key(g.service), prefixOwn+labelPool)
		}
	}
	return nil
}

// hasItsPorts says that a Service's status lists all of its ports: it was given them once.
func hasItsPorts(s *core.Service) bool {
	if len(s.Status.LoadBalancer.Ingress) == 0 {
		return false
	}
	for _, p := range s.Spec.Ports {
		listed := slices.ContainsFunc(s.Status.LoadBalancer.Ingress[0].Ports, func(q core.PortStatus) bool { return p.Port == q.Port && p.Protocol == q.Protocol })
		if !listed {
			return false
		}
	}
	return true
}
