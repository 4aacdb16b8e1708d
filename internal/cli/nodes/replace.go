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

// Replace lets another key take the name of a node.
func Replace(ctx context.Context, env command.Env, flags command.NodeReplace, words []string) error {
	connection, err := cluster.Connect(env, flags.Access)
	if err != nil {
		return err
	}
	return replace(ctx, connection, words[0], env.Out, func() error {
		return env.Confirm(flags.Yes, fmt.Sprintf("The next machine that joins as %s gets the Node with its labels, taints and pods; the one that has it now must be off by then.", words[0]))
	})
}

// replace forgets the key once confirm agrees.
func replace(ctx context.Context, client kubernetes.Interface, name string, out io.Writer, confirm func() error) error {
	_, err := client.CoreV1().Secrets(meta.NamespaceSystem).Get(ctx, nodes.RecordName(name), meta.GetOptions{})
	if apierrors.IsNotFound(err) {
		return noRecord(ctx, client, name)
	}
	if err != nil {
		return cluster.Explain(err, "look up the key of node %s", name)
	}
	if err := confirm(); err != nil {
		return err
	}
	if err := nodes.Forget(ctx, client, name); err != nil {
		return cluster.Explain(err, "forget the key of node %s", name)
	}
	_, err = fmt.Fprintf(out, "the key of node %s is forgotten: switch the old machine off, and start `skerry agent` on the new one\n", name)
	return err
}

// noRecord says why there is nothing to replace: the name is free already.
func noRecord(ctx context.Context, client kubernetes.Interface, name string) error {
	_, err := client.CoreV1().Nodes().Get(ctx, name, meta.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return unknown(name)
	case err != nil:
		return cluster.Explain(err, "look up node %s", name)
	}
	return fault.New("no key is recorded for node %s", name).Fix("start the new machine: the name is free for the next one that joins by it")
}

func unknown(name string) error {
	return fault.New("there is no node %s", name).Fix("`skerry node list` shows those that there are")
}
