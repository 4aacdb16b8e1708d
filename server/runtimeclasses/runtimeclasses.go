package runtimeclasses

import (
	"context"
	"fmt"
	"log/slog"

	core "k8s.io/api/core/v1"
	node "k8s.io/api/node/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// runc is what pods get that name no class; it needs none.
const runc = "runc"

// Run follows nodes, which somebody else watches, and makes the classes until ctx ends.
func Run(ctx context.Context, client kubernetes.Interface, nodes cache.SharedIndexInformer, log *slog.Logger, ready func()) error {
	offer := func(object any) {
		if n, ok := object.(*core.Node); ok {
			for _, handler := range handlers(n) {
				if err := ensure(ctx, client, handler); err != nil && ctx.Err() == nil {
					log.Warn("could not make a RuntimeClass; the next report of the node tries again", "handler", handler, "err", err)
				}
			}
		}
	}
	following, err := nodes.AddEventHandlerWithResyncPeriod(cache.ResourceEventHandlerFuncs{
		AddFunc: offer,
		UpdateFunc: func(before, now any) {
			if was, ok := before.(*core.Node); !ok || len(was.Status.RuntimeHandlers) == 0 {
				offer(now)
			}
		},
	}, 0)
	if err != nil {
		return fmt.Errorf("watch nodes: %w", err)
	}
	ready()
	<-ctx.Done()
	return nodes.RemoveEventHandler(following)
}

// handlers are the named runtimes of a node but runc; the unnamed one is the default.
func handlers(n *core.Node) []string {
	var names []string
	for _, h := range n.Status.RuntimeHandlers {
		if h.Name != "" && h.Name != runc {
			names = append(names, h.Name)
		}
	}
	return names
}

func ensure(ctx context.Context, client kubernetes.Interface, handler string) error {
	class := &node.RuntimeClass{ObjectMeta: meta.ObjectMeta{Name: handler}, Handler: handler}
	_, err := client.NodeV1().RuntimeClasses().Create(ctx, class, meta.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}
