package netpol

import (
	"net/netip"
	"slices"
	"strings"

	networking "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// cluster is all that rules follow from.
type cluster struct {
	namespaces map[string]labels.Set // labels by name
	pods       []*pod
	policies   []*networking.NetworkPolicy
}

// pod is what policies can say about a pod that has a network of its own.
type pod struct {
	namespace, name, uid string
	labels               labels.Set
	addresses            []netip.Addr
	local                bool // it runs on this node
	ports                []namedPort
	static               string // for a pod out of a file on its node: the UID that the node knows it by
}

// namedPort is a port of a container that has a name.
type namedPort struct {
	name     string
	protocol string // tcp, udp, sctp
	number   uint16
}

func (p *pod) key() string { return p.namespace + "/" + p.name }

// is says that the node knows the pod by this UID.
func (p *pod) is(uid string) bool { return p.uid == uid || p.static != "" && p.static == uid }

// port gives the numbers that a name stands for in this pod.
func (p *pod) port(name, protocol string) []uint16 {
	var numbers []uint16
	for _, n := range p.ports {
		if n.name == name && n.protocol == protocol && !slices.Contains(numbers, n.number) {
			numbers = append(numbers, n.number)
		}
	}
	return numbers
}

// class is all pods that no selector can tell apart. Large clusters have many pods and few of these.
type class struct {
	namespace string
	labels    labels.Set
	pods      []*pod
}

// classes sorts pods by namespace and labels.
func classes(pods []*pod) []*class {
	index := map[string]*class{}
	var all []*class
	for _, p := range pods {
		key := p.namespace + "\x00" + labelKey(p.labels)
		c := index[key]
		if c == nil {
			c = &class{namespace: p.namespace, labels: p.labels}
			index[key] = c
			all = append(all, c)
		}
		c.pods = append(c.pods, p)
	}
	return all
}

func labelKey(set labels.Set) string {
	pairs := make([]string, 0, len(set))
	for k, v := range set {
		pairs = append(pairs, k+"="+v)
	}
	slices.Sort(pairs)
	return strings.Join(pairs, ",")
}
