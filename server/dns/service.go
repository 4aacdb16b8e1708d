package dns

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/wire"
)

// What marks the objects made here.
const (
	labelManager = "app.kubernetes.io/managed-by"
	manager      = "skerry"
)

// The names of the Service's ports, which those of the EndpointSlices have to match.
const (
	portUDP = "dns"
	portTCP = "dns-tcp"
)

// keepService makes the Service, or makes it as it should be.
func (k *keeper) keepService(ctx context.Context) error {
	services := k.client.CoreV1().Services(meta.NamespaceSystem)
	want := service(k.config.Addresses)
	have, err := services.Get(ctx, want.Name, meta.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		_, err = services.Create(ctx, want, meta.CreateOptions{})
	case err != nil:
	case !isOurs(have):
		return fault.New("somebody else made the Service %s/%s", have.Namespace, have.Name).
			Fix("delete it, or do without Skerry's DNS: disable: [dns]")
	case !slices.Equal(have.Spec.ClusterIPs, want.Spec.ClusterIPs): // which cannot be changed
		if err = services.Delete(ctx, have.Name, meta.DeleteOptions{}); err == nil || apierrors.IsNotFound(err) {
			_, err = services.Create(ctx, want, meta.CreateOptions{})
		}
	case adopt(have, want):
		_, err = services.Update(ctx, have, meta.UpdateOptions{})
	}
	if err = present(err); err != nil {
		return fmt.Errorf("make the Service %s/%s: %w", want.Namespace, want.Name, err)
	}
	return nil
}

// service is the Service: no selector, and its own node answers each pod.
func service(addresses []netip.Addr) *core.Service {
	local, single := core.ServiceInternalTrafficPolicyLocal, core.IPFamilyPolicySingleStack
	if len(addresses) > 1 {
		single = core.IPFamilyPolicyRequireDualStack
	}
	s := &core.Service{
		ObjectMeta: meta.ObjectMeta{Name: wire.DNSService, Namespace: meta.NamespaceSystem, Labels: map[string]string{
			labelManager:                    manager,
			"k8s-app":                       wire.DNSService,
			"kubernetes.io/cluster-service": "true",
			"kubernetes.io/name":            "CoreDNS",
		}},
		Spec: core.ServiceSpec{
			Type: core.ServiceTypeClusterIP,
			Ports: []core.ServicePort{
				{Name: portUDP, Protocol: core.ProtocolUDP, Port: 53, TargetPort: intstr.FromInt32(wire.DNSPort)},
				{Name: portTCP, Protocol: core.ProtocolTCP, Port: 53, TargetPort: intstr.FromInt32(wire.DNSPort)},
			},
			InternalTrafficPolicy: &local,
			IPFamilyPolicy:        &single,
		},
	}
	for _, a := range addresses {
		s.Spec.ClusterIPs = append(s.Spec.ClusterIPs, a.String())
		s.Spec.IPFamilies = append(s.Spec.IPFamilies, family(a))
	}
	s.Spec.ClusterIP = s.Spec.ClusterIPs[0]
	return s
}

func family(a netip.Addr) core.IPFamily {
	if a.Is4() {
		return core.IPv4Protocol
	}
	return core.IPv6Protocol
}

func isOurs(s *core.Service) bool { return s.Labels[labelManager] == manager }

// adopt sets what is wanted, and says whether that changed anything.
func adopt(have, want *core.Service) bool {
	before := have.DeepCopy()
	for name, value := range want.Labels {
		have.Labels[name] = value
	}
	have.Spec.Selector, have.Spec.Ports, have.Spec.InternalTrafficPolicy = nil, want.Spec.Ports, want.Spec.InternalTrafficPolicy
	return !equality.Semantic.DeepEqual(before, have)
}

// absent takes it as done when what is to be deleted is not there.
func absent(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// present takes it as done when another server was first; the watch tells if that was something else.
func present(err error) error {
	if apierrors.IsAlreadyExists(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}
