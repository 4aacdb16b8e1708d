package nodes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/kubectl/pkg/drain"

	"github.com/skerry-io/skerry/internal/cli/cluster"
	"github.com/skerry-io/skerry/internal/cli/command"
	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/server/nodes"
)

// lostGrace is how long after its time a pod of a node that is not ready is still waited for, in seconds: nobody is there
// who could end it.
const lostGrace = 1

// evictionPause is the wait before a pod is asked to leave again that a PodDisruptionBudget still holds.
const evictionPause = 5 * time.Second

// Remove moves the pods of a node elsewhere, then deletes the Node and its key.
func Remove(ctx context.Context, env command.Env, flags command.NodeRemove, words []string) error {
	if flags.Timeout < 0 {
		return fault.New("timeout %s is in the past", flags.Timeout).Fix("write a time like 10m, or 0 to wait for ever")
	}
	connection, err := cluster.Connect(env, flags.Access)
	if err != nil {
		return err
	}
	return remove(ctx, connection, flags, words[0], env.Out)
}

// remove goes on where an earlier run ended.
func remove(ctx context.Context, client kubernetes.Interface, flags command.NodeRemove, name string, out io.Writer) error {
	node, err := client.CoreV1().Nodes().Get(ctx, name, meta.GetOptions{})
	if apierrors.IsNotFound(err) {
		return removeRest(ctx, client, name, out)
	}
	if err != nil {
		return cluster.Explain(err, "look up node %s", name)
	}
	servers, err := cluster.Servers(ctx, client)
	if err != nil {
		return err
	}
	if isServer(node, servers) {
		return fault.New("node %s is a server of this cluster", name).Fix("run `skerry uninstall` or `skerry reset` there; only agents can be removed from here")
	}
	if err := empty(ctx, client, flags, node, out); err != nil {
		return err
	}
	only := meta.DeleteOptions{Preconditions: &meta.Preconditions{UID: &node.UID}} // not another one that has come by this name
	if err := client.CoreV1().Nodes().Delete(ctx, name, only); err != nil && !apierrors.IsNotFound(err) {
		return cluster.Explain(fmt.Errorf("%w; its pods are gone, and it takes no new ones", err), "delete node %s", name)
	}
	if err := nodes.Forget(ctx, client, name); err != nil {
		return cluster.Explain(fmt.Errorf("%w; run the command again", err), "forget the key of node %s", name)
	}
	_, err = fmt.Fprintf(out, "node %s is removed; run `skerry uninstall` or `skerry reset` on that machine, or it joins again at its next start\n", name)
	return err
}

// removeRest is for a node whose Node object is gone.
func removeRest(ctx context.Context, client kubernetes.Interface, name string, out io.Writer) error {
	_, err := client.CoreV1().Secrets(meta.NamespaceSystem).Get(ctx, nodes.RecordName(name), meta.GetOptions{})
	if apierrors.IsNotFound(err) {
		return unknown(name)
	}
	if err != nil {
		return cluster.Explain(err, "look up the key of node %s", name)
	}
	if err := nodes.Forget(ctx, client, name); err != nil {
		return cluster.Explain(err, "forget the key of node %s", name)
	}
	_, err = fmt.Fprintf(out, "node %s was gone; its key is forgotten\n", name)
	return err
}

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
		helper.SkipWaitForDeleteTimeoutSeconds = lostGrace
	}
	if _, err := leaving(helper, node.Name); err != nil {
		return err
	}
	wasCordoned := node.Spec.Unschedulable
	if err := drain.RunCordonOrUncordon(helper, node, true); err != nil {
		return cluster.Explain(err, "keep new pods off node %s", node.Name)
	}
	pods, err := leaving(helper, node.Name) // those too that came until now
	if err == nil {
		err = helper.DeleteOrEvictPods(pods.Pods())
	}
	if err == nil || wasCordoned {
		return cluster.Explain(err, "move the pods of node %s", node.Name)
	}
	return fault.New("move the pods of node %s", node.Name).Because(err).
		Fix("run the command again once they can go, perhaps with a longer --timeout; until then the node takes no new pods: `skerry kubectl uncordon %s` goes back", node.Name)
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
