package nodewatch

import (
	"context"
	"errors"
	"time"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	kwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// retry is the pause after a failed look.
const retry = 200 * time.Millisecond

// Until waits for the Node called name to satisfy done. kubeconfig is a file that may read it.
func Until(ctx context.Context, kubeconfig, name string, done func(*core.Node) bool) (*core.Node, error) {
	client, err := clientOf(kubeconfig)
	if err != nil {
		return nil, err
	}
	return insist(ctx, client, name, done)
}

// Once waits for the Node called name to exist, calls do with it, and returns when ctx ends, or with the error of do.
func Once(ctx context.Context, kubeconfig, name string, do func(context.Context, kubernetes.Interface, *core.Node) error) error {
	client, err := clientOf(kubeconfig)
	if err != nil {
		return err
	}
	node, err := insist(ctx, client, name, func(*core.Node) bool { return true })
	if err != nil {
		return nil // ctx ended
	}
	if err := do(ctx, client, node); err != nil && ctx.Err() == nil {
		return err
	}
	<-ctx.Done()
	return nil
}

func clientOf(kubeconfig string) (kubernetes.Interface, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	return kubernetes.NewForConfig(config)
}

// insist looks again and again, as the API server may be starting, or may just not know this node yet.
func insist(ctx context.Context, client kubernetes.Interface, name string, done func(*core.Node) bool) (*core.Node, error) {
	for {
		node, err := follow(ctx, client, name, done)
		if err == nil {
			return node, nil
		}
		select {
		case <-time.After(retry):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// follow is one list and one watch; an error means to look again.
func follow(ctx context.Context, client kubernetes.Interface, name string, done func(*core.Node) bool) (*core.Node, error) {
	only := meta.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", name).String()}
	list, err := client.CoreV1().Nodes().List(ctx, only)
	if err != nil {
		return nil, err
	}
	for _, node := range list.Items {
		if done(&node) {
			return &node, nil
		}
	}
	only.ResourceVersion = list.ResourceVersion
	watch, err := client.CoreV1().Nodes().Watch(ctx, only)
	if err != nil {
		return nil, err
	}
	defer watch.Stop()
	for {
		select {
		case event, open := <-watch.ResultChan():
			if !open {
				return nil, errors.New("the watch of the Node ended")
			}
			if event.Type == kwatch.Error {
				return nil, apierrors.FromObject(event.Object)
			}
			if node, ok := event.Object.(*core.Node); ok && event.Type != kwatch.Deleted && done(node) {
				return node, nil
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
