package members

import (
	"context"
	"slices"

	"github.com/skerry-io/skerry/datastore/etcd"
	"github.com/skerry-io/skerry/internal/fault"
)

// Remove takes a member out for somebody who asks for it by its name: one whose server is gone for good and has no Node. The error is a fault
// when there is something else to do.
func Remove(ctx context.Context, c Config, name string) error {
	if name == c.Own {
		return fault.New("remove the member %s: it is that of the server that was asked", name).Fix("stop that server, and ask another one")
	}
	if _, exists, err := c.Nodes.GetStore().GetByKey(name); exists || err != nil {
		return fault.New("remove the member %s: there is a node of this name", name).Because(err).
			Fix("run `kubectl delete node %s`: that removes the member too", name)
	}
	all, err := c.Cluster.Members(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(one etcd.Peer) bool { return one.Called() == name })
	if i >= 0 && c.Cluster.Answers(ctx, all[i]) {
		return fault.New("remove the member %s: its server runs", name).Fix("stop that server first")
	}
	return c.Cluster.Remove(ctx, name) // which knows what to say when there is none
}
