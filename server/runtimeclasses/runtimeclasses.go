package runtimeclasses

import (
	"context"
	"fmt"
	"log/slog"

	core "k8s.io/api/core/v1"
	node "k8s.io/api/node/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// runc is what pods get that name no class; it needs none.
const runc = "runc"

// Run watches nodes and makes the classes until ctx ends.
func Run(ctx context.Context, client kubernetes.Interface, log *slog.Logger, ready func()) error {
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTransform(onlyHandlers))
	nodes := factory.Core().V1().Nodes().Informer()
	offer := func(object any) {
		if n, ok := object.(*core.Node); ok {
			for _, handler := range handlers(n) {
				if err := ensure(ctx, client, handler); err != nil && ctx.Err() == nil {
					log.Warn("could not make a RuntimeClass; the next report of the node tries again", "handler", handler, "err", err)
				}
			}
		}
	}
	if _, err := nodes.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: offer,
		UpdateFunc: func(before, now any) {
			if was, ok := before.(*core.Node); !ok || len(was.Status.RuntimeHandlers) == 0 {
				offer(now)
			}
		},
	}); err != nil {
		return fmt.Errorf("watch nodes: %w", err)
	}
	factory.Start(ctx.Done())
	ready()
	<-ctx.Done()
	factory.Shutdown()
	return nil
}

// onlyHandlers keeps of a Node what is needed here: they are large, and every copy costs memory.
func onlyHandlers(object any) (any, error) {
	n, ok := object.(*core.Node)
	if !ok {
		return object, nil
	}
	return &core.Node{
		ObjectMeta: meta.ObjectMeta{Name: n.Name, ResourceVersion: n.ResourceVersion},
		Status:     core.NodeStatus{RuntimeHandlers: n.Status.RuntimeHandlers},
	}, nil
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
