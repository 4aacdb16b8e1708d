package storage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"

	"github.com/skerry-io/skerry/internal/listeners"
	"github.com/skerry-io/skerry/internal/run"
)

const (
	// again is how often what is in the way is said again, so that it is among the events, which are kept for an hour.
	again = 40 * time.Minute
	// patience bounds the work on one claim or volume.
	patience = 30 * time.Second
)

// errStarting says that claims and volumes are not known yet.
var errStarting = errors.New("claims and volumes are not known yet")

// Storage is the provisioner.
type Storage struct {
	log   *slog.Logger
	rows  *run.Rows
	only  Only
	nodes listeners.Nodes

	started chan struct{} // closed by start, when clients and listers are set and know everything
	start   func()
	ended   chan struct{} // closed when Run has ended
	client  kubernetes.Interface
	claims  corelisters.PersistentVolumeClaimLister
	volumes corelisters.PersistentVolumeLister
	members corelisters.NodeLister
	work    workqueue.TypedRateLimitingInterface[item]
}

// item is a claim or a volume that may need something done.
type item struct{ namespace, claim, volume string }

// Only has something done while this server leads.
type Only func(func(ctx context.Context, ready func()) error) func(ctx context.Context, ready func()) error

// New prepares a provisioner; Orders and Report wait for Run, and any server answers them. The rows are told of claims and volumes that
// something is in the way of. only is for what one server does for all; nil where there is one.
func New(rows *run.Rows, only Only, log *slog.Logger) *Storage {
	if only == nil {
		only = func(do func(context.Context, func()) error) func(context.Context, func()) error { return do }
	}
	s := &Storage{rows: rows, only: only, log: log, started: make(chan struct{}), ended: make(chan struct{})}
	s.start = sync.OnceFunc(func() { close(s.started) })
	return s
}

// Run makes the StorageClass and looks after claims and volumes until ctx ends. It runs once. Somebody else watches nodes.
func (s *Storage) Run(ctx context.Context, client kubernetes.Interface, nodes cache.SharedIndexInformer, ready func()) error {
	if err := ensureClass(ctx, client); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	all := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTransform(trim),
		informers.WithCustomResyncConfig(map[meta.Object]time.Duration{&core.PersistentVolumeClaim{}: again, &core.PersistentVolume{}: again}))
	own := informers.NewSharedInformerFactoryWithOptions(client, again, informers.WithTransform(trim),
		informers.WithTweakListOptions(func(o *meta.ListOptions) { o.LabelSelector = labelOurs + "=" + className }))
	claims, volumes := all.Core().V1().PersistentVolumeClaims(), own.Core().V1().PersistentVolumes()
	s.client, s.claims, s.volumes, s.members = client, claims.Lister(), volumes.Lister(), corelisters.NewNodeLister(nodes.GetIndexer())
	s.work = workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[item]())
	synced, leave, err := s.follow(claims.Informer(), volumes.Informer(), nodes)
	if err != nil {
		return err
	}
	defer leave()
	var working sync.WaitGroup
	defer working.Wait()
	defer s.work.ShutDown()
	all.Start(ctx.Done())
	own.Start(ctx.Done())
	defer own.Shutdown()
	defer all.Shutdown()
	if !cache.WaitForCacheSync(ctx.Done(), synced...) {
		return nil
	}
	s.start()
	defer close(s.ended) // so that no node's open request delays the end
	toil := s.only(s.toil)
	working.Go(func() { _ = toil(ctx, func() {}) }) // it has no error
	ready()
	<-ctx.Done()
	return nil
}

// follow has claims and volumes looked at when they change, from time to time, and when the node they are on comes or goes.
func (s *Storage) follow(claims, volumes, nodes cache.SharedIndexInformer) (synced []cache.InformerSynced, leave func(), err error) {
	var following cache.ResourceEventHandlerRegistration
	for informer, look := range map[cache.SharedIndexInformer]func(object any){claims: s.seeClaim, volumes: s.seeVolume, nodes: s.seeNode} {
		every := again
		if informer == nodes {
			every = 0
		}
		seen, err := informer.AddEventHandlerWithResyncPeriod(cache.ResourceEventHandlerFuncs{
			AddFunc: look,
			UpdateFunc: func(before, now any) {
				if was, ok := before.(*core.Node); ok && present(was) == present(now.(*core.Node)) {
					return // one of its many reports
				}
				look(before) // an order may move from one node to another
				look(now)
			},
			DeleteFunc: func(object any) {
				if last, ok := object.(cache.DeletedFinalStateUnknown); ok {
					object = last.Obj
				}
				look(object)
			},
		}, every)
		if err != nil {
			return nil, nil, fmt.Errorf("watch claims, volumes and nodes: %w", err)
		}
		if informer == nodes {
			following = seen
		}
		synced = append(synced, seen.HasSynced)
	}
	return synced, func() { _ = nodes.RemoveEventHandler(following) }, nil // fails only when the informer has ended
}

func (s *Storage) seeClaim(object any) {
	c, ok := object.(*core.PersistentVolumeClaim)
	if !ok {
		return
	}
	if !waits(c) {
		s.rows.Drop(rowOfClaim(c))
		return
	}
	s.work.Add(item{namespace: c.Namespace, claim: c.Name})
	s.nodes.Wake(c.Annotations[annotationSelected])
}

func (s *Storage) seeVolume(object any) {
	v, ok := object.(*core.PersistentVolume)
	if !ok || !ours(v) {
		return
	}
	s.work.Add(item{volume: v.Name})
	s.nodes.Wake(v.Annotations[annotationNode])
}

// seeNode looks at all that lies on a node, or is to be made there.
func (s *Storage) seeNode(object any) {
	n, ok := object.(*core.Node)
	if !ok {
		return
	}
	select {
	case <-s.started:
	default:
		return // everything will be looked at
	}
	for _, v := range s.known() {
		if v.Annotations[annotationNode] == n.Name {
			s.work.Add(item{volume: v.Name})
		}
	}
	for _, c := range s.waiting() {
		if c.Annotations[annotationSelected] == n.Name {
			s.work.Add(item{namespace: c.Namespace, claim: c.Name})
		}
	}
}

// toil works on what was seen, one after the other. On a server that does not lead it waits in the queue, each once.
func (s *Storage) toil(ctx context.Context, _ func()) error {
	defer context.AfterFunc(ctx, s.work.ShutDown)()
	for {
		next, closed := s.work.Get()
		if closed {
			return nil
		}
		err := s.settle(ctx, next)
		if err != nil && ctx.Err() == nil {
			s.rows.Set(run.Detail{Name: next.row(), State: rowTrying, Bad: true, Err: err})
			s.log.Warn("a volume or its claim could not be looked after; it is tried again", "claim", next.namespace+"/"+next.claim, "volume", next.volume, "err", err)
			s.work.AddRateLimited(next)
		} else {
			s.work.Forget(next)
		}
		s.work.Done(next)
	}
}
