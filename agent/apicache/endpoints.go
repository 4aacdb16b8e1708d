package apicache

import (
	"net/netip"
	"slices"

	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
)

const endpointSlices = "discovery.k8s.io/endpointslices"

// podOf reads a Pod. mu is held.
func (k *Cache) podOf(at ref, o object) (*core.Pod, bool) {
	if at.Kind != pods {
		return nil, false
	}
	from, err := typed(o)
	if err != nil {
		return nil, false
	}
	pod, ok := from.(*core.Pod)
	return pod, ok
}

// unready says that endpoints on this node are not ready until their pods are again. Else a Service would lead to whichever pod has the
// address now. mu is held.
func (k *Cache) unready() {
	no := false
	k.eachSlice("", func(s *discovery.EndpointSlice) (touched bool) {
		for i := range s.Endpoints {
			e := &s.Endpoints[i]
			if e.NodeName == nil || *e.NodeName != k.config.Node || e.TargetRef == nil || e.TargetRef.Kind != "Pod" {
				continue
			}
			e.Conditions.Ready, e.Conditions.Serving, touched = &no, &no, true
		}
		return touched
	})
}

// followPod enters a pod's addresses and its readiness where it is an endpoint. mu is held.
func (k *Cache) followPod(pod *core.Pod) {
	ready := slices.ContainsFunc(pod.Status.Conditions, func(c core.PodCondition) bool {
		return c.Type == core.PodReady && c.Status == core.ConditionTrue
	})
	leaving := pod.DeletionTimestamp != nil
	k.eachSlice(pod.Namespace, func(s *discovery.EndpointSlice) (touched bool) {
		for i := range s.Endpoints {
			e := &s.Endpoints[i]
			if e.TargetRef == nil || e.TargetRef.Kind != "Pod" || e.TargetRef.UID != pod.UID {
				continue
			}
			at := addressOf(pod, s.AddressType)
			if at != "" {
				e.Addresses = []string{at}
			}
			usable := ready && !leaving || at != "" && k.published(s)
			e.Conditions = discovery.EndpointConditions{Ready: &usable, Serving: &ready, Terminating: &leaving}
			touched = true
		}
		return touched
	})
}

// published says that the endpoints of a Service count before they are ready, as its pods have to find each other to become so. mu is held.
func (k *Cache) published(s *discovery.EndpointSlice) bool {
	o, err := k.get(ref{Kind: "/services", Namespace: s.Namespace, Name: s.Labels[discovery.LabelServiceName]})
	if err != nil {
		return false
	}
	from, err := typed(o)
	if err != nil {
		return false
	}
	service, ok := from.(*core.Service)
	return ok && service.Spec.PublishNotReadyAddresses
}

// addressOf is a pod's address of a family.
func addressOf(pod *core.Pod, family discovery.AddressType) string {
	for _, ip := range pod.Status.PodIPs {
		at, err := netip.ParseAddr(ip.IP)
		if err == nil && (at.Unmap().Is4() && family == discovery.AddressTypeIPv4 || at.Is6() && !at.Is4In6() && family == discovery.AddressTypeIPv6) {
			return ip.IP
		}
	}
	return ""
}

// eachSlice hands the EndpointSlices of a namespace, or all, to change, and takes over those that it touched. mu is held.
func (k *Cache) eachSlice(namespace string, change func(*discovery.EndpointSlice) bool) {
	for at := range k.index.entries {
		if at.Kind != endpointSlices || namespace != "" && at.Namespace != namespace {
			continue
		}
		o, err := k.get(at)
		if err != nil {
			continue
		}
		from, err := typed(o)
		if err != nil {
			continue
		}
		slice, ok := from.(*discovery.EndpointSlice)
		if !ok || !change(slice) {
			continue
		}
		if now, err := encoded(o.form, o.APIVersion, o.Kind, slice); err == nil {
			k.index.put(at, now, true)
			k.tell(at, nil)
		}
	}
}
