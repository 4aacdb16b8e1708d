package dns

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-io/skerry/internal/wire"
)

// sliceLabels mark the EndpointSlices made here, and say whose they are.
func sliceLabels() map[string]string {
	return map[string]string{discovery.LabelManagedBy: manager, discovery.LabelServiceName: wire.DNSService}
}

// keepSlices makes the EndpointSlices follow the Nodes.
func (k *keeper) keepSlices(ctx context.Context) error {
	want := map[string]*discovery.EndpointSlice{}
	for _, object := range k.nodes.List() {
		if node, ok := object.(*core.Node); ok {
			for _, s := range k.slicesOf(node) {
				want[s.Name] = s
			}
		}
	}
	var errs []error
	api := k.client.DiscoveryV1().EndpointSlices(meta.NamespaceSystem)
	for _, object := range k.slices.List() {
		have, ok := object.(*discovery.EndpointSlice)
		if !ok {
			continue
		}
		wanted := want[have.Name]
		delete(want, have.Name)
		switch {
		case wanted == nil || have.AddressType != wanted.AddressType:
			errs = append(errs, absent(api.Delete(ctx, have.Name, meta.DeleteOptions{})))
		case !equality.Semantic.DeepEqual(content(have), content(wanted)):
			wanted.ResourceVersion = have.ResourceVersion
			_, err := api.Update(ctx, wanted, meta.UpdateOptions{})
			errs = append(errs, absent(present(err)))
		}
	}
	for _, wanted := range want {
		_, err := api.Create(ctx, wanted, meta.CreateOptions{})
		errs = append(errs, present(err))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("make the endpoints of the Service %s: %w", wire.DNSService, err)
	}
	return nil
}

// content is what has to be as it should be of an EndpointSlice.
func content(s *discovery.EndpointSlice) discovery.EndpointSlice {
	return discovery.EndpointSlice{
		ObjectMeta: meta.ObjectMeta{Labels: s.Labels, OwnerReferences: s.OwnerReferences},
		Endpoints:  s.Endpoints,
		Ports:      s.Ports,
	}
}

// slicesOf are those of one Node: one for each family of the Service that the Node has an address of. They belong to the
// Node, so that they go with it even while no server of ours runs.
func (k *keeper) slicesOf(node *core.Node) []*discovery.EndpointSlice {
	var all []*discovery.EndpointSlice
	for _, of := range k.config.Addresses {
		address := addressOf(node, family(of))
		if address == "" {
			continue
		}
		kind := discovery.AddressType(family(of)) // both are IPv4 or IPv6
		ready, udp, tcp, port := true, core.ProtocolUDP, core.ProtocolTCP, int32(wire.DNSPort)
		nameUDP, nameTCP := portUDP, portTCP
		all = append(all, &discovery.EndpointSlice{
			ObjectMeta: meta.ObjectMeta{
				Name:            fmt.Sprintf("%s-%s-%s", wire.DNSService, strings.ToLower(string(kind)), node.Name),
				Namespace:       meta.NamespaceSystem,
				Labels:          sliceLabels(),
				OwnerReferences: []meta.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: node.Name, UID: node.UID}},
			},
			AddressType: kind,
			Endpoints: []discovery.Endpoint{{
				Addresses:  []string{address},
				NodeName:   &node.Name,
				Conditions: discovery.EndpointConditions{Ready: &ready},
			}},
			Ports: []discovery.EndpointPort{
				{Name: &nameUDP, Protocol: &udp, Port: &port},
				{Name: &nameTCP, Protocol: &tcp, Port: &port},
			},
		})
	}
	return all
}

// addressOf is the first address of its own of a family that a Node reports, empty when it has none.
func addressOf(node *core.Node, of core.IPFamily) string {
	for _, a := range node.Status.Addresses {
		if ip, err := netip.ParseAddr(a.Address); err == nil && a.Type == core.NodeInternalIP && family(ip) == of {
			return ip.String()
		}
	}
	return ""
}
