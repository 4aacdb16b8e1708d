package hold

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/skerry-io/skerry/server/events"
)

const (
	// soon is how long after a sign of change it is looked: the write that it is about may not be stored yet.
	soon = 500 * time.Millisecond
	// often is how long it may take, while something is held up, to see a change that another server was told of.
	often = 30 * time.Second
)

// Run marks the pods that are held up, and takes the marks away when they no longer are, until ctx ends: that change has their
// controllers try again at once. Nodes are watched by somebody else; client is an administrator's.
func (h *Hold) Run(ctx context.Context, client kubernetes.Interface, nodes cache.SharedIndexInformer, up func()) error {
	following, err := nodes.AddEventHandlerWithResyncPeriod(cache.ResourceEventHandlerFuncs{
		UpdateFunc: func(before, now any) {
			was, ok := before.(*core.Node)
			is, also := now.(*core.Node)
			if ok && also && isHeld(was) != isHeld(is) {
				h.wake()
			}
		},
		DeleteFunc: func(any) { h.wake() },
	}, 0)
	if err != nil {
		return fmt.Errorf("watch nodes: %w", err)
	}
	f := &follower{Hold: h, client: client}
	h.wake() // what was held before this start
	up()
	f.follow(ctx)
	return nodes.RemoveEventHandler(following)
}

// follower knows what is held up.
type follower struct {
	*Hold
	client kubernetes.Interface
}

// follow looks whenever there is a reason, and now and then while something is held up.
func (f *follower) follow(ctx context.Context) {
	var again <-chan time.Time
	for {
		select {
		case <-f.look:
			select {
			case <-time.After(soon):
			case <-ctx.Done():
				return
			}
		case <-again:
		case <-ctx.Done():
			return
		}
		left, err := f.pass(ctx)
		if err != nil && ctx.Err() == nil {
			f.log.Warn("what a hold keeps could not be looked after; it will be tried again", "err", err)
		}
		again = nil
		if left > 0 || err != nil {
			again = time.After(often)
		}
	}
}

// pass marks what was refused since the last one, and looks whether everything that is marked is still held up. It gives how much
// is.
func (f *follower) pass(ctx context.Context) (left int, err error) {
	for name, why := range f.takeRefused() {
		p, err := f.client.CoreV1().Pods(name.Namespace).Get(ctx, name.Name, meta.GetOptions{})
		if apierrors.IsNotFound(err) {
			continue
		}
		if err == nil && p.Labels[Since] == "" {
			err = f.mark(ctx, p, why)
		}
		if err != nil {
			f.refused(name, why)
			return 1, err
		}
	}
	marked, err := f.client.CoreV1().Pods(meta.NamespaceAll).List(ctx, meta.ListOptions{LabelSelector: Since})
	if err != nil {
		return 0, fmt.Errorf("list the pods that are held up: %w", err)
	}
	for i := range marked.Items {
		p := &marked.Items[i]
		why, err := f.replaces(ctx, pod{&p.ObjectMeta, p.Spec.NodeName})
		if err == nil && why == "" {
			err = f.label(ctx, p, nil)
		}
		if err != nil {
			return len(marked.Items), err
		}
		if why != "" {
			left++
		}
	}
	return left, nil
}

// mark says on a pod since when it is held up, and in an Event by what.
func (f *follower) mark(ctx context.Context, p *core.Pod, why string) error {
	since := now()
	if err := f.label(ctx, p, &since); err != nil {
		return err
	}
	return events.Teller{Client: f.client, Component: "skerry-hold"}.Tell(ctx, events.Event{
		About: core.ObjectReference{Kind: "Pod", APIVersion: "v1", Namespace: p.Namespace, Name: p.Name, UID: p.UID},
		Type:  core.EventTypeNormal, Reason: "RolloutHeld", Message: fmt.Sprintf("not replaced by a newer one while %s is held (%s)", why, Key)})
}

// label sets the mark, or takes it away. A pod that is gone needs none.
func (f *follower) label(ctx context.Context, p *core.Pod, value *string) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": p.UID, "labels": map[string]*string{Since: value}}})
	if err != nil {
		return err
	}
	_, err = f.client.CoreV1().Pods(p.Namespace).Patch(ctx, p.Name, types.MergePatchType, patch, meta.PatchOptions{})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) { // another one of its name is none of it
		return nil
	}
	return err
}
