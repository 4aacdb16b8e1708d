package nodesettings

import (
	"context"
	"fmt"
	"log/slog"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/retry"

	"github.com/skerry-io/skerry/server/events"
)

// Config is what the keeping of Nodes needs to know.
type Config struct {
	Own    string                    // name of the server's own Node, empty where it is none, or where GiveRole looks after it
	Member bool                      // the server keeps the datastore with others
	Secret []byte                    // of the servers
	Nodes  cache.SharedIndexInformer // of all Nodes; somebody else runs it
	Log    *slog.Logger
}

// Run follows Nodes and carries out what they ask for, until ctx ends; the server's own Node gets its role.
func Run(ctx context.Context, client kubernetes.Interface, c Config, ready func()) error {
	log := c.Log
	k := keeper{client: client, seal: seal(c.Secret), log: log}
	own := &role{client: client, node: c.Own, member: c.Member}
	look := func(object any) {
		n, ok := object.(*core.Node)
		if !ok {
			return
		}
		own.look(ctx, n, log)
		if waitsForCloud(n) {
			if err := k.lift(ctx, n.Name); err != nil && ctx.Err() == nil {
				log.Warn("a node still waits for a cloud controller; its next report tries again", "node", n.Name, "err", err)
			}
		}
		if !k.seal.open(n) {
			return
		}
		if err := k.settle(ctx, n.Name); err != nil && ctx.Err() == nil {
			log.Warn("a node did not get its labels and taints; its next report tries again", "node", n.Name, "err", err)
		}
	}
	following, err := c.Nodes.AddEventHandlerWithResyncPeriod(cache.ResourceEventHandlerFuncs{AddFunc: look, UpdateFunc: func(_, now any) { look(now) }}, 0)
	if err != nil {
		return fmt.Errorf("watch nodes: %w", err)
	}
	ready()
	<-ctx.Done()
	return c.Nodes.RemoveEventHandler(following)
}

// keeper carries out requests.
type keeper struct {
	client kubernetes.Interface
	seal   seal
	log    *slog.Logger
}

// settle looks at the whole Node and carries out what it asks for.
func (k keeper) settle(ctx context.Context, name string) error {
	var refused []string
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
		node, err := k.client.CoreV1().Nodes().Get(ctx, name, meta.GetOptions{})
		if err != nil || !k.seal.open(node) {
			return err
		}
		if refused, err = k.seal.apply(node); err != nil {
			return err
		}
		_, err = k.client.CoreV1().Nodes().Update(ctx, node, meta.UpdateOptions{})
		return err
	})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil || len(refused) == 0 {
		return err
	}
	k.log.Warn("a node asked for labels or taints that are not its to take", "node", name, "refused", refused)
	return k.tell(ctx, name, refused)
}

// tell leaves an Event that `kubectl describe node` shows.
func (k keeper) tell(ctx context.Context, name string, refused []string) error {
	return events.Teller{Client: k.client, Component: "skerry"}.Tell(ctx, events.Event{About: events.Node(name), Type: core.EventTypeWarning,
		Reason: "SettingRefused", Message: fmt.Sprintf("a node may not give itself %v; set them with kubectl", refused)})
}
