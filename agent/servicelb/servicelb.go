package servicelb

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"reflect"
	"sync"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/skerry-io/skerry/internal/host"
	"github.com/skerry-io/skerry/internal/run"
	"github.com/skerry-io/skerry/internal/wire"
)

// Config is what announcing needs to know.
type Config struct {
	Kubeconfig string // may watch Services and write Events
	Node       string // this node's name
	Apply      func(host.Change) error
	Rows       *run.Rows // is told who has each address, as far as this node can know
	Log        *slog.Logger
}

// Run announces the addresses that this node should, until ctx ends. They stay on their interfaces for a while then.
func Run(ctx context.Context, c Config, ready func()) error {
	config, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig)
	if err != nil {
		return fmt.Errorf("read the kubeconfig: %w", err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	return begin(ctx, c, client, func(ip netip.Addr) (place, error) { return find(ip, c.Apply) }, ready)
}

// begin is Run with a client, and with what finds the place of an address.
func begin(ctx context.Context, c Config, client kubernetes.Interface, find func(netip.Addr) (place, error), ready func()) error {
	changed := make(chan struct{}, 1)
	touch := func() {
		select {
		case changed <- struct{}{}:
		default: // it will be looked at
		}
	}
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTransform(trim), informers.WithTweakListOptions(func(o *meta.ListOptions) {
		o.LabelSelector = wire.LabelServiceLB + "=" + wire.ServiceLBPool
	}))
	services := factory.Core().V1().Services().Informer()
	seen, err := services.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { touch() },
		UpdateFunc: func(before, now any) {
			if !reflect.DeepEqual(before.(*core.Service).Annotations, now.(*core.Service).Annotations) ||
				!reflect.DeepEqual(before.(*core.Service).Status, now.(*core.Service).Status) {
				touch()
			}
		},
		DeleteFunc: func(any) { touch() },
	})
	if err != nil {
		return fmt.Errorf("watch Services: %w", err)
	}
	t := table{config: c, client: client, find: find, seats: map[netip.Addr]*taken{}}
	defer t.leave()
	factory.Start(ctx.Done())
	defer factory.Shutdown()
	ready() // nothing waits for it: it works when it can
	if !cache.WaitForCacheSync(ctx.Done(), seen.HasSynced) {
		return nil
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
			t.set(ctx, claims(services.GetStore().List(), c.Node))
		}
	}
}

// table is the addresses that this node may have.
type table struct {
	config Config
	client kubernetes.Interface
	find   func(netip.Addr) (place, error)
	seats  map[netip.Addr]*taken

	telling sync.WaitGroup // Events being written
}

// taken is one of them, being looked after.
type taken struct {
	*seat
	among  string // when it was set last
	cancel context.CancelFunc
	ended  chan struct{}
}

// set makes the table of these claims: what is not among them is let go at once.
func (t *table) set(ctx context.Context, wanted map[netip.Addr]claim) {
	for ip, old := range t.seats {
		if _, still := wanted[ip]; still {
			continue
		}
		old.cancel()
		<-old.ended
		if err := old.release(); err != nil {
			t.config.Log.Warn("an address that is another node's now stays here until its time is over", "address", ip, "err", err)
		}
		delete(t.seats, ip)
		t.config.Rows.Drop(ip.String())
	}
	for ip, c := range wanted {
		if there := t.seats[ip]; there != nil {
			there.rank.Store(int32(c.rank))
			if there.among != c.among {
				there.among = c.among
				there.hurry()
			}
			continue
		}
		s := &seat{ip: ip, find: t.find, rows: t.config.Rows, log: t.config.Log, tell: t.teller(ctx, c), soon: make(chan struct{}, 1)}
		s.rank.Store(int32(c.rank))
		of, cancel := context.WithCancel(ctx)
		one := &taken{seat: s, among: c.among, cancel: cancel, ended: make(chan struct{})}
		t.seats[ip] = one
		go func() {
			defer close(one.ended)
			one.keep(of)
		}()
	}
}

// leave ends the work on all addresses and leaves them where they are.
func (t *table) leave() {
	for _, one := range t.seats {
		one.cancel()
		<-one.ended
	}
	t.telling.Wait()
}

// keep goes on after trouble.
func (s *seat) keep(ctx context.Context) {
	const least, most = time.Second, 30 * time.Second
	pause := least
	for {
		began := time.Now()
		err := s.run(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > most {
			pause = least
		}
		s.say("trying", true, err)
		s.log.Warn("an address of a Service is not announced by this node; it is tried again", "address", s.ip, "in", pause, "err", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, most)
	}
}
