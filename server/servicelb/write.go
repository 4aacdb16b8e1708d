package servicelb

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"reflect"
	"strings"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/skerry-io/skerry/internal/wire"
	"github.com/skerry-io/skerry/server/events"
)

// component is who Events are from.
const component = "skerry-servicelb"

// ingress is a verdict as a status says it. The ports are there so that it is known who was first.
func (v verdict) ingress() []core.LoadBalancerIngress {
	var ports []core.PortStatus
	for _, p := range v.service.Spec.Ports {
		ports = append(ports, core.PortStatus{Port: p.Port, Protocol: p.Protocol})
	}
	mode := core.LoadBalancerIPModeVIP
	var all []core.LoadBalancerIngress
	for _, ip := range v.addresses {
		all = append(all, core.LoadBalancerIngress{IP: ip.String(), IPMode: &mode, Ports: ports})
	}
	return all
}

// write makes a Service as the verdict says, in one request, unless it is so.
func (b *balancer) write(ctx context.Context, v verdict) error {
	s := v.service
	mark, announcers := s.Labels[wire.LabelServiceLB], s.Annotations[wire.AnnotationAnnouncers]
	status := s.Status.LoadBalancer.Ingress
	if ours(s) {
		status = v.ingress()
	}
	want := strings.Join(v.announcers, ",")
	if mark == v.kind && announcers == want && reflect.DeepEqual(status, s.Status.LoadBalancer.Ingress) {
		return nil
	}
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{
			"resourceVersion": s.ResourceVersion, // what was decided is about this one
			"labels":          map[string]any{wire.LabelServiceLB: orNull(v.kind)},
			"annotations":     map[string]any{wire.AnnotationAnnouncers: orNull(want)},
		},
		"status": map[string]any{"loadBalancer": map[string]any{"ingress": status}},
	})
	if err != nil {
		return err
	}
	_, err = b.client.CoreV1().Services(s.Namespace).Patch(ctx, s.Name, types.MergePatchType, patch, meta.PatchOptions{FieldManager: component}, "status")
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err == nil && len(v.addresses) > 0 {
		b.config.Log.Info("a Service has its addresses", "service", key(s), "addresses", v.addresses)
	}
	return err
}

// orNull is a text for a merge patch, which takes away what is null.
func orNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// spread is a number that differs between texts.
func spread(text string) uint32 {
	sum := fnv.New32a()
	fmt.Fprint(sum, text)
	return sum.Sum32()
}

// tell leaves an Event that `kubectl describe service` shows.
func (b *balancer) tell(ctx context.Context, s *core.Service, n notice) error {
	return events.Teller{Client: b.client, Component: component}.Tell(ctx, events.Event{
		About:   core.ObjectReference{Kind: "Service", APIVersion: "v1", Namespace: s.Namespace, Name: s.Name, UID: s.UID},
		Type:    core.EventTypeWarning,
		Reason:  n.reason,
		Message: n.message,
	})
}
