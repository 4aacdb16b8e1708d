package nodes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/kubernetes"
	"k8s.io/kubectl/pkg/drain"

	"github.com/skerry-io/skerry/internal/cli/cluster"
	"github.com/skerry-io/skerry/internal/cli/command"
	"github.com/skerry-io/skerry/internal/fault"
)

const (
	// lostGrace is the time to end, in seconds, of a pod on a node that is not ready, and how long after that it is still
	// waited for: nobody is there who could end it, whatever time it asks for itself.
	lostGrace = 1
	// evictionPause is the wait before a pod is asked to leave again that a PodDisruptionBudget still holds.
	evictionPause = 5 * time.Second
	// lookPause is the time between two looks whether the node is still there. A node that has lost its power is called
	// not ready after most of a minute.
	lookPause = 3 * time.Second
)

// errLost says that a node became not ready while its pods were waited for.
var errLost = errors.New("the node is not ready any more")

// empty keeps new pods off the node and moves those it has. What the flags do not allow is found before anything is
// changed.
func empty(ctx context.Context, client kubernetes.Interface, flags command.NodeRemove, node *core.Node, out io.Writer) error {
	helper := &drain.Helper{
		Ctx: ctx, Client: client, Force: flags.Force, GracePeriodSeconds: -1, IgnoreAllDaemonSets: true, Timeout: flags.Timeout,
		DeleteEmptyDirData: flags.EmptyDir, EvictErrorRetryDelay: evictionPause, Out: out, ErrOut: out,
		OnPodDeletionOrEvictionFinished: func(pod *core.Pod, _ bool, err error) {
			if err == nil {
				_, _ = fmt.Fprintf(out, "pod %s/%s is gone\n", pod.Namespace, pod.Name) // progress; losing it changes nothing
			}
		},
	}
	if !isReady(node) {
		giveUp(helper, node.Name)
	}
	if _, err := leaving(helper, node.Name); err != nil {
		return err
	}
	wasCordoned := node.Spec.Unschedulable
	if err := drain.RunCordonOrUncordon(helper, node, true); err != nil {
		return cluster.Explain(err, "keep new pods off node %s", node.Name)
	}
	err := move(ctx, helper, node)
	held := strings.Join(held(ctx, client, node.Name), "; ")
	if err == nil && held != "" {
		_, err = fmt.Fprintf(out, "still listed, until they are let go: %s\n", held)
	}
	if err != nil && held != "" {
		err = fmt.Errorf("%w; %s", err, held)
	}
	if err == nil || wasCordoned {
		return cluster.Explain(err, "move the pods of node %s", node.Name)
	}
	return fault.New("move the pods of node %s", node.Name).Because(err).
		Fix("run the command again once they can go, perhaps with a longer --timeout; until then the node takes no new pods: `skerry kubectl uncordon %s` goes back", node.Name)
}

// giveUp says that nobody ends the pods of the node: it is enough that they are marked.
func giveUp(helper *drain.Helper, name string) {
	helper.SkipWaitForDeleteTimeoutSeconds, helper.GracePeriodSeconds = lostGrace, lostGrace
	_, _ = fmt.Fprintf(helper.Out, "node %s is not ready: its pods are marked to end, and go with it\n", name) // progress
}

// move asks the pods to leave, those too that came until now, and waits for them; no longer when the node is lost
// meanwhile.
func move(ctx context.Context, helper *drain.Helper, node *core.Node) error {
	pods, err := leaving(helper, node.Name)
	if err != nil {
		return err
	}
	if helper.SkipWaitForDeleteTimeoutSeconds > 0 {
		return helper.DeleteOrEvictPods(pods.Pods())
	}
	while, stop := context.WithCancelCause(ctx)
	var look sync.WaitGroup
	look.Go(func() { watchOver(while, helper.Client, node.Name, func() { stop(errLost) }) })
	helper.Ctx = while
	err = helper.DeleteOrEvictPods(pods.Pods())
	stop(nil)
	look.Wait()
	helper.Ctx = ctx
	if !errors.Is(context.Cause(while), errLost) {
		return err
	}
	giveUp(helper, node.Name)
	if pods, err = leaving(helper, node.Name); err != nil {
		return err
	}
	return helper.DeleteOrEvictPods(pods.Pods())
}

// watchOver calls lost when the node is not ready any more, or gone, and returns then or when ctx ends.
func watchOver(ctx context.Context, client kubernetes.Interface, name string, lost func()) {
	for {
		select {
		case <-time.After(lookPause):
		case <-ctx.Done():
			return
		}
		node, err := client.CoreV1().Nodes().Get(ctx, name, meta.GetOptions{})
		if apierrors.IsNotFound(err) || err == nil && !isReady(node) {
			lost()
			return
		}
	}
}

// held are the pods of the node that are marked to end and that somebody holds back by a finalizer. It is for a message:
// when the API does not tell, there are none.
func held(ctx context.Context, client kubernetes.Interface, name string) []string {
	pods, err := client.CoreV1().Pods(meta.NamespaceAll).List(ctx, meta.ListOptions{FieldSelector: fields.OneTermEqualSelector("spec.nodeName", name).String()})
	if err != nil {
		return nil
	}
	var texts []string
	for _, pod := range pods.Items {
		if pod.DeletionTimestamp != nil && len(pod.Finalizers) > 0 {
			texts = append(texts, fmt.Sprintf("pod %s/%s is held by %s", pod.Namespace, pod.Name, strings.Join(pod.Finalizers, ", ")))
		}
	}
	return texts
}

// leaving are the pods that have to go. An error says which of them the flags do not allow to.
func leaving(helper *drain.Helper, name string) (*drain.PodDeleteList, error) {
	pods, errs := helper.GetPodsForDeletion(name)
	if len(errs) == 0 {
		return pods, nil
	}
	err := errors.Join(errs...)
	if pods == nil {
		return nil, cluster.Explain(err, "list the pods of node %s", name)
	}
	err = errors.New(strings.ReplaceAll(err.Error(), "\n", "; ")) // one line
	return nil, fault.New("move the pods of node %s", name).Because(err).Fix("end or move those pods yourself, or run the command again with the flags named here")
}
