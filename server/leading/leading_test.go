package leading

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	coordination "k8s.io/api/coordination/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	kubetesting "k8s.io/client-go/testing"

	"github.com/skerry-io/skerry/internal/run"
)

// cluster is an API server that keeps one lease, and servers that come and go.
type cluster struct {
	t      *testing.T
	client *fake.Clientset
	away   atomic.Bool  // the datastore has no majority
	work   atomic.Int32 // how many servers work
	most   atomic.Int32 // at the same time
}

func newCluster(t *testing.T) *cluster {
	c := &cluster{t: t, client: fake.NewClientset()}
	c.client.PrependReactor("*", "leases", func(kubetesting.Action) (bool, runtime.Object, error) {
		if c.away.Load() {
			return true, nil, errors.New(http.StatusText(http.StatusGatewayTimeout))
		}
		return false, nil, nil
	})
	return c
}

// server is one server with one service that only one may run.
type server struct {
	*Lead
	cancel context.CancelFunc
	ended  chan error
	ready  atomic.Bool
	works  atomic.Bool
	stuck  chan struct{} // its work does not end before it is closed; nil: it does
}

func (c *cluster) start(name string, stuck chan struct{}) *server {
	s := &server{Lead: New(name, slog.New(slog.DiscardHandler)), ended: make(chan error, 1), stuck: stuck}
	g, err := run.NewGroup(slog.New(slog.DiscardHandler),
		run.Service{Name: "lease", Run: func(ctx context.Context, ready func()) error {
			return s.Run(ctx, kubernetes.Interface(c.client), ready)
		}},
		run.Service{Name: "work", Needs: []string{"lease"}, Grace: time.Minute, Run: s.Only(func(ctx context.Context, ready func()) error {
			return c.toil(ctx, s, ready)
		})})
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(c.t.Context())
	s.cancel = cancel
	go func() { s.ended <- g.Run(ctx) }()
	go func() {
		for {
			states, changed := g.Watch()
			s.ready.Store(states[1].Phase == run.Ready)
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}()
	return s
}

func (c *cluster) toil(ctx context.Context, s *server, ready func()) error {
	ready()
	s.works.Store(true)
	c.most.Store(max(c.most.Load(), c.work.Add(1)))
	<-ctx.Done()
	if s.stuck != nil {
		<-s.stuck
	}
	time.Sleep(time.Second)
	c.work.Add(-1)
	s.works.Store(false)
	return nil
}

func (s *server) stop() error {
	s.cancel()
	return <-s.ended
}

func (s *server) says() string { return s.Details()[0].State }

func TestOneServerWorksAndAnotherTakesOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		a := c.start("a", nil)
		time.Sleep(time.Second)
		b := c.start("b", nil)
		time.Sleep(5 * time.Second)
		if !a.works.Load() || b.works.Load() || !a.ready.Load() || !b.ready.Load() {
			t.Fatalf("a works: %t, b works: %t, ready: %t %t", a.works.Load(), b.works.Load(), a.ready.Load(), b.ready.Load())
		}
		if a.says() != "this server leads" || b.says() != "a leads" {
			t.Errorf("a says %q, b says %q", a.says(), b.says())
		}
		if err := a.stop(); err != nil {
			t.Error(err)
		}
		began := time.Now()
		for !b.works.Load() {
			time.Sleep(100 * time.Millisecond)
		}
		if took := time.Since(began); took > 6*time.Second {
			t.Errorf("after a stop in order, the other took over in %s", took)
		}
		if c.most.Load() != 1 {
			t.Errorf("%d worked at the same time", c.most.Load())
		}
		if err := b.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestALostServerIsFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		now := meta.NewMicroTime(time.Now())
		lost, seconds := "lost", int32(life/time.Second)
		lease := &coordination.Lease{ObjectMeta: meta.ObjectMeta{Namespace: meta.NamespaceSystem, Name: LeaseName},
			Spec: coordination.LeaseSpec{HolderIdentity: &lost, LeaseDurationSeconds: &seconds, AcquireTime: &now, RenewTime: &now}}
		if err := c.client.Tracker().Add(lease); err != nil {
			t.Fatal(err)
		}
		b, began := c.start("b", nil), time.Now()
		time.Sleep(time.Second)
		if !b.ready.Load() {
			t.Error("a server that does not lead is not ready")
		}
		for !b.works.Load() {
			time.Sleep(100 * time.Millisecond)
		}
		if took := time.Since(began); took < life || took > 17*time.Second {
			t.Errorf("it took %s", took)
		}
		if err := b.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestAServerThatWasKilledGoesOnWithItsLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		now := meta.NewMicroTime(time.Now())
		own, seconds := "a", int32(life/time.Second)
		lease := &coordination.Lease{ObjectMeta: meta.ObjectMeta{Namespace: meta.NamespaceSystem, Name: LeaseName},
			Spec: coordination.LeaseSpec{HolderIdentity: &own, LeaseDurationSeconds: &seconds, AcquireTime: &now, RenewTime: &now}}
		if err := c.client.Tracker().Add(lease); err != nil {
			t.Fatal(err)
		}
		a := c.start("a", nil)
		time.Sleep(time.Millisecond)
		if !a.works.Load() {
			t.Error("it waits for itself")
		}
		if err := a.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestTheWorkEndsWithTheLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		a := c.start("a", nil)
		time.Sleep(5 * time.Second)
		c.away.Store(true)
		time.Sleep(life)
		if a.works.Load() {
			t.Fatal("it works without the lease")
		}
		select {
		case err := <-a.ended:
			t.Fatalf("the whole node ended: %v", err)
		default:
		}
		if !strings.Contains(a.says(), "nobody") {
			t.Errorf("it says %q", a.says())
		}
		c.away.Store(false)
		b := c.start("b", nil)
		time.Sleep(20 * time.Second)
		if !b.works.Load() || a.works.Load() {
			t.Errorf("a works: %t, b works: %t", a.works.Load(), b.works.Load())
		}
		if err := b.stop(); err != nil {
			t.Error(err)
		}
		// The lease is free again, and a would lead for the second time.
		err := <-a.ended
		if !errors.As(err, new(Again)) || run.Failure(err) != nil {
			t.Errorf("got %v", err)
		}
		if c.most.Load() != 1 {
			t.Errorf("%d worked at the same time", c.most.Load())
		}
	})
}

func TestWorkThatDoesNotStopEndsTheProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		stuck := make(chan struct{})
		a := c.start("a", stuck)
		time.Sleep(5 * time.Second)
		c.away.Store(true)
		defer func() {
			close(stuck)
			time.Sleep(2 * time.Second) // until it has ended
		}()
		if err := <-a.ended; err == nil || !strings.Contains(err.Error(), "did not stop within 3s") {
			t.Errorf("got %v", err)
		}
	})
}

// TestTheWorkIsOverBeforeTheLeaseIs: whenever the datastore goes away, and even if the work does not stop, nobody works here any more when
// the others may begin. They count from when the last renewal was written.
func TestTheWorkIsOverBeforeTheLeaseIs(t *testing.T) {
	for away := 5 * time.Second; away < 5*time.Second+retry; away += retry / 8 {
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t)
			var renewed atomic.Pointer[time.Time]
			c.client.PrependReactor("update", "leases", func(kubetesting.Action) (bool, runtime.Object, error) {
				if now := time.Now(); !c.away.Load() {
					renewed.Store(&now)
				}
				return false, nil, nil
			})
			l, ended, stuck := New("a", slog.New(slog.DiscardHandler)), make(chan error), make(chan struct{})
			ctx, cancel := context.WithCancel(t.Context())
			go func() { ended <- l.Run(ctx, c.client, func() {}) }()
			go func() {
				ended <- l.Only(func(context.Context, func()) error {
					<-stuck
					return nil
				})(ctx, func() {})
			}()
			time.Sleep(away)
			c.away.Store(true)
			if err := <-ended; err == nil {
				t.Error("work that does not stop is left alone")
			}
			if took := time.Since(*renewed.Load()); took > life {
				t.Errorf("away after %s: the process ends %s after the last renewal, and the lease counts for %s", away, took, life)
			}
			cancel()
			close(stuck)
			<-ended
		})
	}
}

func TestAloneNothingWaits(t *testing.T) {
	var l *Lead
	began := false
	err := l.Only(func(context.Context, func()) error {
		began = true
		return nil
	})(t.Context(), nil)
	if err != nil || !began || l.Details() != nil {
		t.Errorf("began: %t, %v", began, err)
	}
}
