package servicelb

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-io/skerry/internal/wire"
)

// claim is that this node may have an address.
type claim struct {
	service core.ObjectReference
	rank    int    // how many nodes come before it where all else is equal
	among   string // all that may
}

// trim keeps of a Service what matters here.
func trim(object any) (any, error) {
	s, ok := object.(*core.Service)
	if !ok {
		return object, nil
	}
	small := &core.Service{ObjectMeta: meta.ObjectMeta{Namespace: s.Namespace, Name: s.Name, UID: s.UID, ResourceVersion: s.ResourceVersion}}
	small.Labels = map[string]string{wire.LabelServiceLB: s.Labels[wire.LabelServiceLB]}
	small.Annotations = map[string]string{wire.AnnotationAnnouncers: s.Annotations[wire.AnnotationAnnouncers]}
	for _, in := range s.Status.LoadBalancer.Ingress {
		small.Status.LoadBalancer.Ingress = append(small.Status.LoadBalancer.Ingress, core.LoadBalancerIngress{IP: in.IP})
	}
	return small, nil
}

// claims are what Services let this node have.
func claims(services []any, node string) map[netip.Addr]claim {
	all := map[netip.Addr]claim{}
	for _, object := range services {
		s, ok := object.(*core.Service)
		if !ok || s.Labels[wire.LabelServiceLB] != wire.ServiceLBPool {
			continue
		}
		among := s.Annotations[wire.AnnotationAnnouncers]
		rank := slices.Index(strings.Split(among, ","), node)
		if rank < 0 {
			continue
		}
		of := core.ObjectReference{Kind: "Service", APIVersion: "v1", Namespace: s.Namespace, Name: s.Name, UID: s.UID}
		for _, in := range s.Status.LoadBalancer.Ingress {
			if ip, err := netip.ParseAddr(in.IP); err == nil && ip.IsGlobalUnicast() {
				all[ip.Unmap()] = claim{service: of, rank: rank, among: among}
			}
		}
	}
	return all
}

// telling bounds the writing of an Event.
const telling = 10 * time.Second

// teller leaves Events that `kubectl describe service` shows. They are for people: one that cannot be written is lost.
func (t *table) teller(ctx context.Context, c claim) func(kind, reason, message string) {
	return func(kind, reason, message string) {
		now := meta.Now()
		event := &core.Event{
			ObjectMeta:     meta.ObjectMeta{GenerateName: c.service.Name[:min(len(c.service.Name), 200)] + ".", Namespace: c.service.Namespace},
			InvolvedObject: c.service,
			Type:           kind,
			Reason:         reason,
			Message:        message,
			Source:         core.EventSource{Component: "skerry-servicelb", Host: t.config.Node},
			FirstTimestamp: now,
			LastTimestamp:  now,
			Count:          1,
		}
		t.telling.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, telling)
			defer cancel()
			if _, err := t.client.CoreV1().Events(event.Namespace).Create(ctx, event, meta.CreateOptions{}); err != nil {
				t.config.Log.Debug("an Event was not written", "service", c.service.Name, "event", message, "err", err)
			}
		})
	}
}
