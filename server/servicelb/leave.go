package servicelb

import (
	"context"
	"log/slog"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/skerry-io/skerry/internal/wire"
)

// Leave takes back what an earlier start has written that ran the component: the addresses of the Services that bear its
// mark, and the mark. What someone else has given to other Services stays.
func Leave(ctx context.Context, client kubernetes.Interface, log *slog.Logger) error {
	marked, err := client.CoreV1().Services(core.NamespaceAll).List(ctx, meta.ListOptions{LabelSelector: wire.LabelServiceLB})
	if err != nil {
		return err
	}
	b := &balancer{client: client, config: Config{Log: log}}
	for i := range marked.Items {
		if err := b.write(ctx, verdict{service: &marked.Items[i]}); err != nil {
			return err
		}
	}
	return nil
}

// strays takes the mark off Services that are no longer of the type.
func (b *balancer) strays(ctx context.Context) error {
	marked, err := b.client.CoreV1().Services(core.NamespaceAll).List(ctx, meta.ListOptions{LabelSelector: wire.LabelServiceLB})
	if err != nil {
		return err
	}
	for i := range marked.Items {
		if s := &marked.Items[i]; s.Spec.Type != core.ServiceTypeLoadBalancer {
			if err := b.write(ctx, verdict{service: s}); err != nil {
				return err
			}
		}
	}
	return nil
}
