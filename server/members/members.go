package members

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	core "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"

	"github.com/skerry-io/skerry/datastore/etcd"
	"github.com/skerry-io/skerry/internal/run"
	"github.com/skerry-io/skerry/server/nodesettings"
)

// Cluster is the datastore's.
type Cluster interface {
	// Members are those it has.
	Members(ctx context.Context) ([]etcd.Peer, error)
	// Remove takes one out of it.
	Remove(ctx context.Context, name string) error
	// Answers says that one is reached.
	Answers(ctx context.Context, one etcd.Peer) bool
}

// Config says which members go with which Nodes.
type Config struct {
	Cluster Cluster
	// Own is the name of this server's.
	Own string
	// Nodes are watched by somebody else.
	Nodes cache.SharedIndexInformer
	// Rows get those that are not taken out; nil: only the log does.
	Rows *run.Rows
	// Warn tells the cluster's users why the member of a server stays; nil: nobody is told.
	Warn func(ctx context.Context, server string, why error) error
	Log  *slog.Logger
}

// patience bounds one attempt.
const patience = 10 * time.Second

type keeper struct {
	Config
	gone workqueue.TypedRateLimitingInterface[string]
	// meant is which member a name stood for at the first attempt: one that joins later under the same name is another. It is work's own.
	meant map[string]uint64
}

// Run removes the member of each server whose Node is deleted, until ctx ends. It runs on every server, so that somebody hears of the
// deletion whatever becomes of the others; who comes second finds nothing to do.
func Run(ctx context.Context, c Config, ready func()) error {
	k := &keeper{Config: c, meant: map[string]uint64{},
		gone: workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[string](time.Second, time.Minute))}
	following, err := c.Nodes.AddEventHandlerWithResyncPeriod(cache.ResourceEventHandlerFuncs{DeleteFunc: k.deleted}, 0)
	if err != nil {
		return fmt.Errorf("watch nodes: %w", err)
	}
	var working sync.WaitGroup
	working.Go(func() { k.work(ctx) })
	working.Go(func() { k.compare(ctx) })
	ready()
	<-ctx.Done()
	k.gone.ShutDown()
	working.Wait()
	return c.Nodes.RemoveEventHandler(following)
}

func (k *keeper) deleted(object any) {
	if last, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = last.Obj
	}
	n, ok := object.(*core.Node)
	if !ok || !nodesettings.IsServer(n) { // a Node of anybody may have the name of a server that is none
		return
	}
	if n.Name != k.Own { // a server that removed itself could not say whether the others bear it
		k.gone.Add(n.Name)
	}
}

func (k *keeper) work(ctx context.Context) {
	for {
		name, over := k.gone.Get()
		if over {
			return
		}
		switch err := k.remove(ctx, name); {
		case errors.Is(err, errLast):
			k.Log.Info("the member of a server whose Node was deleted stays", "server", name, "because", err)
			k.settled(name)
		case err != nil && ctx.Err() == nil:
			k.waits(ctx, name, err)
			k.gone.AddRateLimited(name)
		default:
			k.settled(name)
		}
		k.gone.Done(name)
	}
}

// waits tells that a member could not be removed, and why: its users once, and the status for as long as it is so.
func (k *keeper) waits(ctx context.Context, name string, why error) {
	k.Log.Warn("the member of a server whose Node was deleted could not be removed; it is tried again", "server", name, "err", why)
	k.Rows.Set(run.Detail{Name: row(name), State: staying, Bad: true, Err: why})
	if k.Warn == nil || k.gone.NumRequeues(name) > 0 {
		return
	}
	if err := k.Warn(ctx, name, fmt.Errorf("the Node was deleted, and its member of the datastore could not be removed; it is tried again: %w", why)); err != nil {
		k.Log.Debug("there is no Event about a member that stays", "server", name, "err", err)
	}
}

func (k *keeper) settled(name string) {
	k.gone.Forget(name)
	delete(k.meant, name)
	k.Rows.Drop(row(name), staying)
}

// staying is the state of a member whose Node was deleted, as long as it cannot be removed.
const staying = "is to be removed"

// errLast says that there would be no datastore any more.
var errLast = errors.New("it is the last one")

// remove takes the member of a node out, if it has one and the Node has not come back.
func (k *keeper) remove(ctx context.Context, name string) error {
	if _, back, err := k.Nodes.GetStore().GetByKey(name); back || err != nil {
		return err
	}
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	all, err := k.Cluster.Members(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(one etcd.Peer) bool { return one.Name == name })
	if i < 0 {
		return nil
	}
	if meant, again := k.meant[name]; again && meant != all[i].ID {
		return nil
	}
	k.meant[name] = all[i].ID
	if len(all) == 1 {
		return errLast
	}
	if err = k.Cluster.Remove(ctx, name); err == nil {
		return nil
	}
	left, failed := k.Cluster.Members(ctx)
	if failed == nil && !slices.ContainsFunc(left, func(one etcd.Peer) bool { return one.ID == all[i].ID }) {
		return nil // another server was faster
	}
	return err
}
