package nodes

import (
	"context"
	"fmt"
	"io"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/skerry-io/skerry/internal/cli/cluster"
	"github.com/skerry-io/skerry/internal/cli/command"
	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/server/nodes"
)

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
		return fault.New("node %s is a server of this cluster", name).Fix("stop it, if it is one of several run `kubectl delete node %s` on another, then `skerry uninstall` or `skerry reset` there; only agents can be removed from here", name)
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
