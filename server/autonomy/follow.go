package autonomy

import (
	"context"
	"fmt"
	"time"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"

	"github.com/skerry-io/skerry/server/events"
)

// again is how long after a failure a Node is looked at once more.
const again = 5 * time.Second

// follower does, when a Node is no longer covered, what the controller believes it has done long ago.
type follower struct {
	*Autonomy
	client kubernetes.Interface
	nodes  cache.SharedIndexInformer
	due    workqueue.TypedDelayingInterface[string]
	began  time.Time // when this server began to follow: with several, long after its start

	// Touched by the one goroutine that works only.
	kept  map[string]bool   // Nodes whose pods are kept
	late  map[string]bool   // Nodes that were away and not covered when this began
	wrong map[string]string // values that were complained about, by Node
}

// Run follows Nodes, which somebody else watches, until ctx ends. client is an administrator's.
func (a *Autonomy) Run(ctx context.Context, client kubernetes.Interface, nodes cache.SharedIndexInformer, up func()) error {
	f := &follower{Autonomy: a, client: client, nodes: nodes, began: time.Now(), kept: map[string]bool{}, late: map[string]bool{}, wrong: map[string]string{},
		due: workqueue.NewTypedDelayingQueueWithConfig(workqueue.TypedDelayingQueueConfig[string]{Name: "autonomy"})}
	following, err := nodes.AddEventHandlerWithResyncPeriod(f.handler(), 0)
	if err != nil {
		return fmt.Errorf("watch nodes: %w", err)
	}
	worked := make(chan struct{})
	go func() {
		defer close(worked)
		for {
			name, over := f.due.Get()
			if over {
				return
			}
			if err := f.settle(ctx, name); err != nil && ctx.Err() == nil {
				a.log.Warn("the pods of a node that is away could not be settled; it will be tried again", "node", name, "err", err)
				f.due.AddAfter(name, again)
			}
			f.due.Done(name)
		}
	}()
	up()
	<-ctx.Done()
	f.due.ShutDown()
	<-worked
	return nodes.RemoveEventHandler(following)
}

func (f *follower) handler() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc: func(object any) {
			if n, ok := object.(*core.Node); ok && matters(n) {
				f.due.Add(n.Name)
			}
		},
		UpdateFunc: func(before, now any) {
			was, ok := before.(*core.Node)
			is, also := now.(*core.Node)
			if ok && also && (matters(was) || matters(is)) && differ(was, is) {
				f.due.Add(is.Name)
			}
		},
	}
}

// matters says that a Node is away, or has something to say of it.
func matters(n *core.Node) bool {
	_, labelled := n.Labels[Key]
	_, annotated := n.Annotations[Key]
	return labelled || annotated || of(n).away
}

// differ tells a change that matters from a heartbeat.
func differ(was, is *core.Node) bool {
	return of(was).absence != of(is).absence || was.Labels[Key] != is.Labels[Key] || was.Annotations[Key] != is.Annotations[Key]
}

// settle looks at one Node.
func (f *follower) settle(ctx context.Context, name string) error {
	object, exists, err := f.nodes.GetStore().GetByKey(name)
	if err != nil {
		return err
	}
	n, ok := object.(*core.Node)
	if !exists || !ok {
		delete(f.kept, name)
		delete(f.wrong, name)
		return nil
	}
	if err := f.complain(ctx, n); err != nil {
		return err
	}
	state := of(n)
	left := time.Until(f.began.Add(comeback))
	switch {
	case !state.away:
		delete(f.kept, name)
	case f.covers(state.Rule, state.absence):
		return f.keep(ctx, n, state)
	case f.kept[name]:
		return f.giveUp(ctx, n)
	case left > 0 && !f.late[name]: // it may have been covered until a moment when no server followed
		f.late[name] = true
		f.due.AddAfter(name, left)
	case left <= 0 && f.late[name]:
		return f.giveUp(ctx, n)
	}
	return nil
}

// complain tells once of a value that means nothing.
func (f *follower) complain(ctx context.Context, n *core.Node) error {
	_, err := RuleOf(n.Labels, n.Annotations)
	if err == nil {
		delete(f.wrong, n.Name)
		return nil
	}
	if f.wrong[n.Name] == err.Error() {
		return nil
	}
	if err := f.tell(ctx, n, core.EventTypeWarning, "AutonomyRefused", err.Error()+"; the node is as any other"); err != nil {
		return err
	}
	f.wrong[n.Name] = err.Error()
	return nil
}

// keep tells once that a Node's pods stay, and comes back when that is over.
func (f *follower) keep(ctx context.Context, n *core.Node, state node) error {
	how := "for as long as it is"
	if !state.Always {
		end := f.until(state.Rule, state.absence)
		f.due.AddAfter(n.Name, time.Until(end)+time.Second)
		how = "until " + state.ends(state.since).UTC().Format(time.RFC3339)
	}
	if f.kept[n.Name] {
		return nil
	}
	message := fmt.Sprintf("away since %s: its pods stay, and stay ready in their Services, %s", state.since.UTC().Format(time.RFC3339), how)
	if err := f.tell(ctx, n, core.EventTypeNormal, "PodsStay", message); err != nil {
		return err
	}
	f.kept[n.Name] = true
	return nil
}

// giveUp calls the pods of a Node that is no longer covered not ready, as the controller did in vain when the Node went away. The
// taint comes by itself: the controller insists on that one.
func (f *follower) giveUp(ctx context.Context, n *core.Node) error {
	now, err := f.lookAs(ctx, n.Name)
	if err != nil || !now.away || f.covers(now.Rule, now.absence) {
		return err // the next change of it comes here
	}
	list, err := f.client.CoreV1().Pods(meta.NamespaceAll).List(ctx, meta.ListOptions{
		FieldSelector: fields.OneTermEqualSelector("spec.nodeName", n.Name).String()})
	if err != nil {
		return fmt.Errorf("list its pods: %w", err)
	}
	changed := 0
	for i := range list.Items {
		p := &list.Items[i]
		if !unready(p) {
			continue
		}
		if _, err := f.client.CoreV1().Pods(p.Namespace).UpdateStatus(ctx, p, meta.UpdateOptions{}); err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("call pod %s/%s not ready: %w", p.Namespace, p.Name, err)
		}
		changed++
	}
	if f.kept[n.Name] || changed > 0 {
		err = f.tell(ctx, n, core.EventTypeNormal, "PodsNoLongerStay",
			fmt.Sprintf("away since %s: its time is over, or nothing says any more that its pods stay", now.since.UTC().Format(time.RFC3339)))
	}
	if err != nil {
		return err
	}
	delete(f.kept, n.Name)
	delete(f.late, n.Name)
	return nil
}

// lookAs reads a Node as it is stored, by the administrator's client. One that is gone is not away.
func (f *follower) lookAs(ctx context.Context, name string) (node, error) {
	n, err := f.client.CoreV1().Nodes().Get(ctx, name, meta.GetOptions{})
	if apierrors.IsNotFound(err) {
		return node{}, nil
	}
	if err != nil {
		return node{}, err
	}
	return of(n), nil
}

// unready makes a ready pod not ready; false when it is none.
func unready(p *core.Pod) bool {
	for i := range p.Status.Conditions {
		if c := &p.Status.Conditions[i]; c.Type == core.PodReady && c.Status == core.ConditionTrue {
			c.Status, c.LastTransitionTime = core.ConditionFalse, meta.Now()
			return true
		}
	}
	return false
}

// tell leaves an Event that `kubectl describe node` shows.
func (f *follower) tell(ctx context.Context, n *core.Node, kind, reason, message string) error {
	return events.Teller{Client: f.client, Component: "skerry-autonomy"}.Tell(ctx, events.Event{
		About: core.ObjectReference{Kind: "Node", APIVersion: "v1", Name: n.Name, UID: n.UID}, Type: kind, Reason: reason, Message: message})
}
