package podrights

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"

	"github.com/skerry-io/skerry/internal/listeners"
	"github.com/skerry-io/skerry/internal/wire"
)

// settle is how long it waits after a change for others: an installation makes many roles in a row.
const settle = 2 * time.Second

// Rights knows what nodes are told.
type Rights struct {
	tokens wire.AccountTokens              // set before Run
	known  informers.SharedInformerFactory // the same
	synced []cache.InformerSynced          // the same

	started chan struct{} // closed by Run, when all is known
	ended   chan struct{} // closed when Run has ended

	changes atomic.Uint64 // of ServiceAccounts, tokens and roles
	turn    chan struct{} // holds an entry while no text is being made: one at a time is
	found   *found        // whose turn it is

	nodes listeners.Nodes
}

// New knows nothing yet.
func New() *Rights {
	r := &Rights{started: make(chan struct{}), ended: make(chan struct{}), turn: make(chan struct{}, 1)}
	r.turn <- struct{}{}
	return r
}

// Vouch says which tokens of ServiceAccounts are good for the API. It is called before Run; without it none is, and nodes hear of nobody.
func (r *Rights) Vouch(tokens wire.AccountTokens) { r.tokens = tokens }

// See has it look at what the API server knows, unless nothing is to be told. It is called between Vouch and Run, and before known is started.
func (r *Rights) See(known informers.SharedInformerFactory) error {
	if len(r.tokens.Keys) == 0 {
		return nil
	}
	r.known = known
	objects, roles := known.Core().V1(), known.Rbac().V1()
	for _, one := range []struct {
		what cache.SharedIndexInformer
		look func(before, now any)
	}{
		{objects.Pods().Informer(), r.pod},
		{objects.Secrets().Informer(), r.secret},
		{objects.ServiceAccounts().Informer(), r.one},
		{roles.Roles().Informer(), r.someone},
		{roles.RoleBindings().Informer(), r.someone},
		{roles.ClusterRoles().Informer(), r.someone},
		{roles.ClusterRoleBindings().Informer(), r.someone},
	} {
		following, err := one.what.AddEventHandlerWithResyncPeriod(cache.ResourceEventHandlerFuncs{
			AddFunc:    func(now any) { one.look(nil, now) },
			UpdateFunc: one.look,
			DeleteFunc: func(last any) { one.look(last, nil) },
		}, 0)
		if err != nil {
			return fmt.Errorf("watch the rights of pods: %w", err)
		}
		r.synced = append(r.synced, following.HasSynced)
	}
	return nil
}

// pod wakes a node that got or lost a pod.
func (r *Rights) pod(before, now any) {
	if was, is := nodeOf(before), nodeOf(now); was != is {
		r.nodes.Wake(was)
		r.nodes.Wake(is)
	}
}

func nodeOf(object any) string {
	if pod, ok := last(object).(*core.Pod); ok {
		return pod.Spec.NodeName
	}
	return ""
}

// last is an object also when its end was not seen.
func last(object any) any {
	if gone, ok := object.(cache.DeletedFinalStateUnknown); ok {
		return gone.Obj
	}
	return object
}

// secret wakes the nodes with pods of the ServiceAccount whose token it holds.
func (r *Rights) secret(before, now any) {
	for _, object := range differing(before, now) {
		if s, ok := object.(*core.Secret); ok && holdsToken(s) {
			r.wakeFor(s.Namespace, s.Annotations[core.ServiceAccountNameKey])
		}
	}
}

// one wakes the nodes with pods of a ServiceAccount.
func (r *Rights) one(before, now any) {
	for _, object := range differing(before, now) {
		if a, ok := object.(*core.ServiceAccount); ok {
			r.wakeFor(a.Namespace, a.Name)
		}
	}
}

// differing are the objects of a change, none if it is no change.
func differing(before, now any) []any {
	was, had := before.(meta.Object)
	is, has := now.(meta.Object)
	if had && has && was.GetResourceVersion() == is.GetResourceVersion() {
		return nil
	}
	return []any{last(before), now}
}

func (r *Rights) wakeFor(namespace, account string) {
	r.changes.Add(1)
	pods, _ := r.known.Core().V1().Pods().Lister().Pods(namespace).List(labels.Everything()) // of memory: it has no error
	for _, pod := range pods {
		if pod.Spec.ServiceAccountName == account {
			r.nodes.Wake(pod.Spec.NodeName)
		}
	}
}

// someone wakes every node: a role may be anybody's. Roles change rarely.
func (r *Rights) someone(before, now any) {
	if differing(before, now) == nil {
		return
	}
	r.changes.Add(1)
	r.nodes.WakeAll()
}

// Run lets nodes be told until ctx ends. It is ready at once: who asks waits until all is known.
func (r *Rights) Run(ctx context.Context, ready func()) error {
	defer close(r.ended) // so that no node's open request delays the end
	ready()
	if cache.WaitForCacheSync(ctx.Done(), r.synced...) {
		close(r.started)
	}
	<-ctx.Done()
	return nil
}

// Tell sends a node its PodRights as one text, and again whenever they differ, until ctx or Run ends, or send cannot. have is
// the hash of what the node has already.
func (r *Rights) Tell(ctx context.Context, node, have string, send func(text []byte) error) error {
	if !awake(ctx, r.ended, r.started) {
		return nil
	}
	changed, leave := r.nodes.Join(node)
	defer leave()
	for {
		if !awake(ctx, r.ended, r.turn) {
			return nil
		}
		text, err := r.text(ctx, node)
		r.turn <- struct{}{}
		if err != nil {
			return err
		}
		if sum := hash(text); sum != have {
			if err := send(text); err != nil {
				return err
			}
			have = sum
		}
		if !awake(ctx, r.ended, changed) || !awake(ctx, r.ended, time.After(settle)) {
			return nil
		}
	}
}

// awake waits for a sign; false says that it is the end.
func awake[T any](ctx context.Context, ended <-chan struct{}, sign <-chan T) bool {
	select {
	case <-sign:
		return true
	case <-ended:
	case <-ctx.Done():
	}
	return false
}

func (r *Rights) text(ctx context.Context, node string) ([]byte, error) {
	told, err := r.of(ctx, node)
	if err != nil {
		return nil, err
	}
	return json.Marshal(told)
}

// hash stands for a text.
func hash(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}
