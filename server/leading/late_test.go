package leading

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	coordination "k8s.io/api/coordination/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	coordinationclient "k8s.io/client-go/kubernetes/typed/coordination/v1"
)

// slow is a client whose changes are made at once and answered late.
type slow struct {
	kubernetes.Interface
	coordinationclient.CoordinationV1Interface
	coordinationclient.LeaseInterface
	late time.Duration

	mu   *sync.Mutex
	last *time.Time                // when the last change was made
	asks func(ctx context.Context) // if set, is told of each renewal that is tried
}

func (s slow) CoordinationV1() coordinationclient.CoordinationV1Interface {
	s.CoordinationV1Interface = s.Interface.CoordinationV1()
	return s
}

func (s slow) Leases(namespace string) coordinationclient.LeaseInterface {
	s.LeaseInterface = s.CoordinationV1Interface.Leases(namespace)
	return s
}

func (s slow) Create(ctx context.Context, lease *coordination.Lease, o meta.CreateOptions) (*coordination.Lease, error) {
	return s.note(s.LeaseInterface.Create(ctx, lease, o))
}

func (s slow) Update(ctx context.Context, lease *coordination.Lease, o meta.UpdateOptions) (*coordination.Lease, error) {
	if s.asks != nil {
		s.asks(ctx)
	}
	return s.note(s.LeaseInterface.Update(ctx, lease, o))
}

func (s slow) note(lease *coordination.Lease, err error) (*coordination.Lease, error) {
	if err != nil {
		return lease, err
	}
	s.mu.Lock()
	*s.last = time.Now()
	s.mu.Unlock()
	time.Sleep(s.late)
	return lease, err
}

// TestALateAnswerIsNoLongerLease: a renewal counts from when it was sent. Whenever the datastore goes away after that, the work has ended,
// however slowly, before another server may begin.
func TestALateAnswerIsNoLongerLease(t *testing.T) {
	for _, late := range []time.Duration{0, time.Second, Patience - 100*time.Millisecond} {
		for away := time.Duration(0); away < 2*(retry+Patience); away += 700 * time.Millisecond {
			synctest.Test(t, func(t *testing.T) { lateAnswer(t, late, away) })
		}
	}
}

// TestALostLeaseIsNotRenewed: when the term is over nothing is under way that could have the lease again, as the others would wait for nobody.
func TestALostLeaseIsNotRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		var mu sync.Mutex
		var last time.Time
		var trying context.Context
		told, renews := false, false
		log := slog.New(slog.NewTextHandler(writer(func(text []byte) {
			if bytes.Contains(text, []byte("does not lead any more")) {
				mu.Lock()
				defer mu.Unlock()
				told, renews = true, trying.Err() == nil
			}
		}), nil))
		client := slow{Interface: c.client, mu: &mu, last: &last, asks: func(ctx context.Context) {
			mu.Lock()
			defer mu.Unlock()
			trying = ctx
		}}
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = New("a", log).Run(ctx, client, func() {}) })
		time.Sleep(Patience)
		c.away.Store(true)
		time.Sleep(life)
		cancel()
		running.Wait()
		if !told || renews {
			t.Errorf("the loss was told: %t, with a renewal under way: %t", told, renews)
		}
	})
}

// writer is a function that is written to.
type writer func(text []byte)

func (w writer) Write(text []byte) (int, error) {
	w(text)
	return len(text), nil
}

func lateAnswer(t *testing.T, late, away time.Duration) {
	c := newCluster(t)
	var mu sync.Mutex
	var last, ended time.Time
	l := New("a", slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := l.Run(ctx, slow{Interface: c.client, late: late, mu: &mu, last: &last}, func() {}); err != nil {
			t.Errorf("answers %s late, away after %s: %v", late, away, err)
		}
	})
	running.Go(func() {
		_ = l.Only(func(ctx context.Context, _ func()) error {
			<-ctx.Done()
			time.Sleep(stopping - 100*time.Millisecond)
			mu.Lock()
			defer mu.Unlock()
			ended = time.Now()
			return nil
		})(ctx, func() {})
	})
	time.Sleep(Patience + away)
	c.away.Store(true)
	time.Sleep(life + Patience)
	mu.Lock()
	if ended.IsZero() || ended.After(last.Add(life)) {
		t.Errorf("answers %s late, away after %s: the work ended %s after the last renewal was made, and the lease counts for %s",
			late, away, ended.Sub(last), life)
	}
	mu.Unlock()
	cancel()
	running.Wait()
}
