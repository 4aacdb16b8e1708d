package netpol

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/kubernetes"

	"github.com/skerry-io/skerry/internal/durable"
	"github.com/skerry-io/skerry/internal/run"
)

// keeper keeps the rules as the cluster says. All of it runs in keep.
type keeper struct {
	config  Config
	client  kubernetes.Interface
	kernel  *kernel
	facts   *facts
	changed func()
	marked  bool   // the marker is there
	off     bool   // the cluster does without
	waiting []*ask // pods that wait for their rules

	alarm            chan struct{} // a table of ours was taken away
	guard            func()        // ends the watch of our tables; nil without one
	policies         *watch        // nil until they may be read
	namespaces, pods *watch        // nil while there is no policy
	trouble          string        // what was logged last
	unread           map[string]string
}

const (
	gather = 20 * time.Millisecond // changes come in groups
	unsure = 2 * time.Second       // how long a pod waits on a node that knows of no policies and reaches no server
	soon   = time.Second
	late   = time.Minute
)

// keep follows the cluster until ctx ends or one of the sources is lost.
func (k *keeper) keep(ctx context.Context, open <-chan struct{}, changed <-chan struct{}, asks <-chan *ask, lost <-chan error) error {
	defer k.stop()
	pause := soon
	var again, group, unknown <-chan time.Time
	off := k.config.Off
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-lost:
			return err
		case <-k.alarm:
			k.kernel.doubt()
		case <-off:
			off, k.off = nil, true
		case <-open:
			open = nil
			var err error
			if k.policies, err = followPolicies(ctx, k.client, k.changed); err != nil {
				return err
			}
			continue
		case a := <-asks:
			k.take(a)
			if a.Gone {
				k.changed()
				continue
			}
			if unknown == nil {
				unknown = time.After(cmp.Or(k.config.unsure, unsure))
			}
		case <-changed:
			if group == nil && len(k.waiting) == 0 {
				group = time.After(gather)
				continue
			}
		case <-group:
		case <-again:
		case <-unknown:
			unknown = nil
			if !k.known() && !k.marked {
				k.let(func(*ask) bool { return true })
			}
			continue
		}
		group, again = nil, nil
		if err := k.step(ctx); k.tell(ctx, err) {
			again = time.After(pause)
			pause = min(2*pause, late)
		} else {
			pause = soon
		}
	}
}

// take remembers what the plugin says, and the question when it has to wait.
func (k *keeper) take(a *ask) {
	if a.Gone {
		a.answer <- k.facts.drop(a.Container)
		return
	}
	one := a.fact
	if err := k.facts.put(&one); err != nil {
		a.answer <- err
		return
	}
	k.waiting = append(k.waiting, a)
}

// let answers those who wait and need to no more.
func (k *keeper) let(may func(*ask) bool) {
	k.waiting = slices.DeleteFunc(k.waiting, func(a *ask) bool {
		if a.ctx.Err() == nil && may(a) {
			a.answer <- nil
			return true
		}
		return a.ctx.Err() != nil
	})
}

// known says that the policies of the cluster are.
func (k *keeper) known() bool { return k.policies != nil && k.policies.synced() }

// step makes the kernel do what the cluster says now.
func (k *keeper) step(ctx context.Context) error {
	if k.off {
		return errors.Join(k.mark(false), k.rest(ctx))
	}
	if !k.known() {
		return nil
	}
	policies := listed[networking.NetworkPolicy](k.policies)
	if err := k.mark(len(policies) > 0); err != nil {
		return err
	}
	if len(policies) == 0 {
		return k.rest(ctx)
	}
	if err := k.follow(ctx); err != nil || !k.namespaces.synced() || !k.pods.synced() {
		return err
	}
	seen := map[string]*pod{}
	for _, one := range listed[kept](k.pods) {
		seen[one.pod.key()] = one.pod
	}
	rules, problems := compile(cluster{namespaces: k.labels(), pods: k.facts.pods(seen), policies: policies})
	k.report(problems)
	if err := k.kernel.cross(ctx, true); err != nil {
		return err
	}
	if err := k.kernel.enforce(ctx, rules); err != nil {
		return err
	}
	some := map[string]bool{}
	for _, p := range policies {
		some[p.Namespace] = true
	}
	k.let(func(a *ask) bool { return !some[a.Namespace] || seen[a.key()] != nil && seen[a.key()].is(a.UID) })
	k.config.Rows.Set(run.Detail{Name: "rules", State: "in force"})
	return nil
}

// rest is for a cluster without policies.
func (k *keeper) rest(ctx context.Context) error {
	k.unfollow()
	k.report(nil)
	err := errors.Join(k.kernel.cross(ctx, false), k.kernel.rest(ctx))
	if err == nil {
		k.let(func(*ask) bool { return true })
		k.config.Rows.Set(run.Detail{Name: "rules", State: "none needed"})
	}
	return err
}

// follow watches what policies select from.
func (k *keeper) follow(ctx context.Context) (err error) {
	if k.namespaces == nil {
		if k.namespaces, err = followNamespaces(ctx, k.client, k.changed); err != nil {
			return err
		}
	}
	if k.pods == nil {
		k.pods, err = followPods(ctx, k.client, k.config.Node, k.changed)
	}
	if k.guard == nil && err == nil {
		k.guard = k.watchTables(ctx)
	}
	return err
}

// watchTables has rules put back that somebody else takes away. Without it they come back with the next change.
func (k *keeper) watchTables(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	alarm := func() {
		select {
		case k.alarm <- struct{}{}:
		default: // it will be looked at
		}
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := k.kernel.watch(ctx, alarm); err != nil {
			k.config.Log.Warn("nobody notices when the rules of network policies are taken away", "err", err)
		}
	}()
	return func() {
		cancel()
		<-ended
	}
}

func (k *keeper) unfollow() {
	if k.guard != nil {
		k.guard()
		k.guard = nil
	}
	for _, w := range []*watch{k.namespaces, k.pods} {
		if w != nil {
			w.stop()
		}
	}
	k.namespaces, k.pods = nil, nil
	for _, f := range k.facts.all {
		f.pod = nil
	}
}

func (k *keeper) stop() {
	k.unfollow()
	if k.policies != nil {
		k.policies.stop()
	}
}

// labels are those of the namespaces.
func (k *keeper) labels() map[string]labels.Set {
	all := map[string]labels.Set{}
	for _, n := range listed[core.Namespace](k.namespaces) {
		all[n.Name] = n.Labels
	}
	return all
}

// mark notes on disk whether the cluster has policies.
func (k *keeper) mark(policies bool) error {
	if policies == k.marked {
		return nil
	}
	var err error
	if policies {
		err = durable.WriteFile(k.config.Marker, nil, 0o600)
	} else if err = os.Remove(k.config.Marker); errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err != nil {
		return fmt.Errorf("note that the cluster has network policies: %w", err)
	}
	k.marked = policies
	return nil
}

// report tells of policies that could not be read as a whole, each once.
func (k *keeper) report(problems map[string]error) {
	k.config.Rows.Keep(func(name string) bool { return name == "rules" || problems[name] != nil })
	now := map[string]string{}
	for name, err := range problems {
		k.config.Rows.Set(run.Detail{Name: name, State: "in part", Err: err})
		now[name] = err.Error()
		if k.unread[name] != now[name] {
			k.config.Log.Warn("a network policy says something that cannot be read; that part lets nothing pass", "policy", name, "err", err)
		}
	}
	k.unread = now
}

// tell says what is wrong, once, and whether to try again.
func (k *keeper) tell(ctx context.Context, err error) bool {
	if err == nil || ctx.Err() != nil {
		k.trouble = ""
		return false
	}
	k.config.Rows.Set(run.Detail{Name: "rules", State: "trying", Bad: true, Err: err})
	if text := err.Error(); text != k.trouble {
		k.trouble = text
		k.config.Log.Warn("network policies are not in force as they should be; trying on", "err", err)
	}
	return true
}

func listed[T any](w *watch) []*T {
	objects := w.store.List()
	all := make([]*T, 0, len(objects))
	for _, o := range objects {
		if one, ok := o.(*T); ok {
			all = append(all, one)
		}
	}
	return all
}
