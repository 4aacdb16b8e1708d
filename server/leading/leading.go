package leading

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"

	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/run"
)

// LeaseName is the name of the lease in the namespace kube-system.
const LeaseName = "skerry-server"

const (
	// life is how long a lease counts after its last renewal; the others take over a server that was lost then.
	life = 12 * time.Second
	// retry is how often it is renewed, and how often the others look, but for some chance.
	retry = 2 * time.Second
	// stopping is how long the work may take to end when the lease is not renewed.
	stopping = 3 * time.Second
	// tenure is how long a server works by one renewal, see counted. A datastore without a leader has another one by then.
	tenure = life - stopping
	// Patience is how long one request of the client may take: one that was lost with the datastore's leader leaves time for another.
	Patience = 3 * time.Second
)

// state is where a server is in its life. It leads once at most: Kubernetes' programs do not start a second time in one process.
type state int

const (
	before state = iota
	leads
	after
)

// Lead is this server's part in the election. A nil one leads: there are no other servers.
type Lead struct {
	identity string
	log      *slog.Logger

	began chan struct{} // closed by begin

	mu      sync.Mutex // guards what follows
	state   state
	term    context.Context // what the work goes by, from began on
	end     context.CancelFunc
	working int
	idle    chan struct{} // closed when nothing works; made anew by enter
	holder  string
	since   time.Time
	known   func() // called when it is known who leads; any number of times
}

// New prepares a candidate. The identity is this server's alone, and the same after a restart: so it goes on with its own lease.
func New(identity string, log *slog.Logger) *Lead {
	l := &Lead{identity: identity, log: log, began: make(chan struct{}), idle: make(chan struct{})}
	close(l.idle)
	return l
}

// Again is the end of a run that has led, stopped, and would lead once more: with a new process.
type Again struct{}

// Error says why.
func (Again) Error() string {
	return "this server leads for the second time, and controllers do not start twice in one process"
}

// Wanted says that this end is no failure, see run.Wanted.
func (Again) Wanted() bool { return true }

// Afresh says that the program runs once more, see run.Afresh.
func (Again) Afresh() bool { return true }

// Run takes part in the election, by a client with Patience, until ctx ends, and then gives the lease back; whatever Only runs has to have ended by then. It
// is ready when it is known who leads. It ends with Again when this server has led before and would do so now, and with an error
// when what it runs did not stop with the lease.
func (l *Lead) Run(ctx context.Context, client kubernetes.Interface, ready func()) error {
	lock := &resourcelock.LeaseLock{LeaseMeta: meta.ObjectMeta{Namespace: meta.NamespaceSystem, Name: LeaseName},
		Client: client.CoordinationV1(), LockConfig: resourcelock.ResourceLockConfig{Identity: l.identity}}
	l.mu.Lock()
	l.known = ready
	l.mu.Unlock()
	for ctx.Err() == nil {
		if again, err := l.round(ctx, lock); err != nil {
			return err
		} else if again {
			return Again{}
		}
	}
	if l.leads() {
		l.giveBack(ctx, lock)
	}
	return nil
}

// round is from a candidate to the loss of the lease, or to the end of ctx.
func (l *Lead) round(ctx context.Context, lock resourcelock.Interface) (again bool, err error) {
	elected, stop := context.WithCancel(ctx)
	defer stop()
	lease := &counted{Interface: lock, over: func() {
		stop() // first: who has lost it does not renew it
		l.lose()
	}}
	second := make(chan struct{})
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{Lock: lease, Name: LeaseName,
		LeaseDuration: life, RenewDeadline: tenure, RetryPeriod: retry,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(term context.Context) {
				if !l.begin(term) {
					close(second)
					stop()
				}
			},
			OnStoppedLeading: func() {},
			OnNewLeader:      l.hear,
		}})
	if err != nil {
		return false, err
	}
	elector.Run(elected)
	free, had := lease.end()
	select {
	case <-second:
		return true, nil
	default:
	}
	if ctx.Err() != nil || !had {
		return false, nil
	}
	l.lose()
	return false, l.stopWork(ctx, free)
}

// begin starts the term; false when there was one before.
func (l *Lead) begin(term context.Context) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state != before {
		return term.Err() != nil // it is over already
	}
	if term.Err() != nil {
		return true
	}
	l.state, l.since = leads, time.Now()
	l.term, l.end = context.WithCancel(context.WithoutCancel(term)) // the end of the process stops the work in its own order
	close(l.began)
	l.known()
	l.log.Info("this server leads: controllers and scheduler run here")
	return true
}

// lose ends the term, if there is one.
func (l *Lead) lose() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state != leads {
		return
	}
	l.state, l.since, l.holder = after, time.Now(), ""
	l.end()
	l.log.Warn("this server does not lead any more: the lease could not be renewed in time", "within", tenure.String())
}

// stopWork waits for the end of the work, and then for others to lead. It is an error when the work has not ended by the time at which the
// lease is free.
func (l *Lead) stopWork(ctx context.Context, free time.Time) error {
	l.mu.Lock()
	idle := l.idle
	l.mu.Unlock()
	late := time.NewTimer(time.Until(free))
	defer late.Stop()
	select {
	case <-idle:
	case <-late.C:
		return fault.New("controllers did not stop within %s after the lease was lost", stopping).
			Fix("nothing: the process ends, so that they do not work beside those of another server; whatever started it starts it again")
	case <-ctx.Done():
		return nil
	}
	select { // others that have not led yet go first; they count the lease's life from when they have seen it last
	case <-time.After(2 * life):
	case <-ctx.Done():
	}
	return nil
}

// hear notes who leads.
func (l *Lead) hear(identity string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.holder != identity {
		l.holder, l.since = identity, time.Now()
	}
	if identity != l.identity && identity != "" {
		l.known()
	}
}

// giveBack lets another server take over at once.
func (l *Lead) giveBack(ctx context.Context, lock resourcelock.Interface) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), Patience)
	defer cancel()
	have, _, err := lock.Get(ctx)
	if err == nil && have.HolderIdentity == l.identity {
		now := meta.Now()
		err = lock.Update(ctx, resourcelock.LeaderElectionRecord{LeaseDurationSeconds: 1, AcquireTime: now, RenewTime: now, LeaderTransitions: have.LeaderTransitions})
	}
	if err != nil {
		l.log.Info("the lease was not given back; another server takes over when it is over", "err", err)
	}
}

// Details tells who leads.
func (l *Lead) Details() []run.Detail {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.state == leads:
		return []run.Detail{{Name: "lease", State: "this server leads", Since: l.since}}
	case l.holder == "":
		return []run.Detail{{Name: "lease", State: "nobody leads", Since: l.since}}
	}
	return []run.Detail{{Name: "lease", State: fmt.Sprintf("%s leads", l.holder), Since: l.since}}
}
