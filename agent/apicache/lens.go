package apicache

import (
	"strings"

	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/skerry-io/skerry/internal/wire"
)

// lens is how a caller sees what is remembered.
type lens interface {
	// alters says that the caller may have heard something else of an object from a server.
	alters(at ref) bool
	// show gives an object as the caller is told of it, false when he is not.
	show(at ref, o object) (_ object, seen bool, err error)
}

// look gives an object through a lens. mu is held.
func (k *Cache) look(at ref, through lens) (object, bool, error) {
	o, err := k.get(at)
	if err != nil {
		return o, false, err
	}
	return through.show(at, o)
}

const (
	configMaps = "/configmaps"
	// rootCA is the ConfigMap from which pods have the authority that they trust as the API's; authorityKey is where in it.
	rootCA, authorityKey = "kube-root-ca.crt", "ca.crt"
	// apiService is the Service by which pods ask the API.
	apiService = "kubernetes"
)

// disguise is how the node's own components see it: as servers said it, but for two things that lead pods to this node for as long as
// no server is in reach. What is remembered stays as it is.
type disguise struct {
	cache *Cache
	query query
}

func (d disguise) alters(at ref) bool { return d.trust(at) || d.way(at) }

func (d disguise) show(at ref, o object) (object, bool, error) {
	var change func(runtime.Object) bool
	switch {
	case d.trust(at):
		change = d.cache.config.Door.vouch
	case d.way(at):
		change = d.cache.config.Door.lead
	default:
		return o, true, nil
	}
	from, err := typed(o)
	if err != nil || !change(from) {
		return o, true, err
	}
	o, err = encoded(o.form, o.APIVersion, o.Kind, from)
	return o, true, err
}

// trust says that this is what the kubelet gives to pods to trust. Nobody else asks for it with the node's certificate.
func (d disguise) trust(at ref) bool {
	return at.Kind == configMaps && at.Name == rootCA && d.query.user == wire.NodeUser+d.cache.config.Node
}

// way says that this may be what kube-proxy leads pods to the API by. The list of servers is learned from the same objects by the same
// user; but kube-proxy is the one who asks for those of all namespaces.
func (d disguise) way(at ref) bool {
	return at.Kind == endpointSlices && at.Namespace == core.NamespaceDefault && d.query.namespace == "" && d.query.user == proxyUser
}

// proxyUser is the user that kube-proxy shows.
const proxyUser = "system:kube-proxy"

// vouch has pods trust this node beside the servers.
func (d Door) vouch(o runtime.Object) bool {
	m, ok := o.(*core.ConfigMap)
	if !ok || len(d.Authority) == 0 || m.Data[authorityKey] == "" {
		return false
	}
	m.Data[authorityKey] = strings.TrimRight(m.Data[authorityKey], "\n") + "\n" + string(d.Authority)
	return true
}

// lead has pods come to this node when they ask the API.
func (d Door) lead(o runtime.Object) bool {
	s, ok := o.(*discovery.EndpointSlice)
	if !ok || s.Labels[discovery.LabelServiceName] != apiService {
		return false
	}
	for _, at := range d.At {
		if at.Addr().Is4() != (s.AddressType == discovery.AddressTypeIPv4) {
			continue
		}
		yes, port := true, int32(at.Port())
		s.Endpoints = []discovery.Endpoint{{Addresses: []string{at.Addr().String()}, Conditions: discovery.EndpointConditions{Ready: &yes}}}
		for i := range s.Ports {
			s.Ports[i].Port = &port
		}
		return true
	}
	return false
}
