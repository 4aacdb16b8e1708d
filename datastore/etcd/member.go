package etcd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"

	"github.com/skerry-io/skerry/datastore"
	"github.com/skerry-io/skerry/internal/fault"
)

const (
	// patience is how long one question to a member may take.
	patience = 3 * time.Second
	// again is the pause between two tries of what has to wait for others.
	again = 500 * time.Millisecond
	// quiet is how long a member looks for a leader before it asks others why there is none.
	quiet = 5 * time.Second
	// closing is how long the end may take before it is given up.
	closing = 15 * time.Second
)

// Member is one etcd server in this process.
type Member struct {
	config Config
	etcd   *embed.Etcd
	client *clientv3.Client // through the socket
	broken *broken
	done   func() // once the directory is not used any more
	close  func() error
	// outside goes to the other members, until this one serves; it is serve's own.
	outside *clientv3.Client
	unled   spell
	// doubt says that members disagree and nobody knows who is right.
	doubt   atomic.Pointer[error]
	copying sync.Mutex // held while a snapshot is made or removed
	marking sync.Mutex // held while it is noted who the others are
	expects bool       // that there are others; guarded by marking
	// compared is the revision up to which all had the same; it is upkeep's own.
	compared int64
}

// broken keeps the first reason why etcd gave up.
type broken struct {
	once sync.Once
	err  error
	told chan struct{}
}

func (b *broken) tell(err error) {
	b.once.Do(func() {
		b.err = err
		close(b.told)
	})
}

// why is nil while etcd has not given up.
func (b *broken) why() error {
	select {
	case <-b.told:
		return b.err
	default:
		return nil
	}
}

// Start starts the member that lies in the directory, or makes a new one: of the cluster that Members belong to, as a learner, or of a
// new cluster. It returns when the member takes part; Run says when it can serve. It refuses a directory that is in use, damaged, or
// left from a cluster that goes on without it. A join tries again for as long as ctx allows, where waiting can help.
func Start(ctx context.Context, c Config) (*Member, error) {
	c = c.tuned()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	unlock, err := lock(c.Dir)
	if err != nil {
		return nil, err
	}
	m := &Member{config: c, done: unlock}
	m.config.expect = m.expect
	if err := m.start(ctx); err != nil {
		if !errors.As(err, &abandoned{}) {
			unlock()
		}
		return nil, err
	}
	m.close = sync.OnceValue(m.end)
	if err := os.Chmod(c.Socket, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("protect the datastore socket: %w", err), m.close())
	}
	if m.client, err = c.local().Client(); err != nil {
		return nil, errors.Join(err, m.close())
	}
	return m, nil
}

func (m *Member) start(ctx context.Context) (err error) {
	c := m.config
	var harm damaged
	if err := c.inspect(ctx); errors.As(err, &harm) && c.AsItIs {
		return fault.New("open the etcd member in %s", c.Dir).Because(harm).
			Fix("start the server: it makes the member anew, as far as that can be, and says what is lost by that. Then try again")
	} else if harm.error != nil {
		return m.heal(ctx, harm)
	} else if err != nil {
		return err
	}
	if Exists(c.Dir) || len(c.Members) == 0 {
		return m.begin()
	}
	m.etcd, m.broken, err = c.join(ctx)
	return err
}

// begin starts the member that lies in the directory, or the first of a new cluster.
func (m *Member) begin() (err error) {
	settings := m.config.settings()
	settings.InitialCluster, settings.InitialClusterToken = m.config.Name+"="+m.config.PeerURL(), token()
	if m.etcd, m.broken, err = launch(m.config, settings); err != nil {
		return m.stumbled(err)
	}
	return nil
}

// Endpoint is where this machine reaches the member: the socket.
func (m *Member) Endpoint() datastore.Endpoint { return m.config.local() }

// Run calls ready when the member has a vote and the cluster answers, and keeps it until ctx ends. Then it hands on the leadership and
// closes the member. It returns an error when the member cannot go on: because it was removed, or its disk does not work.
func (m *Member) Run(ctx context.Context, ready func()) error {
	work, stop := context.WithCancel(ctx)
	defer stop()
	var following sync.WaitGroup
	following.Go(func() { m.follow(work) })
	following.Go(func() { m.snapshots(work) })
	var err error
	ended := make(chan struct{})
	go func() {
		defer close(ended) // also when etcd ends the goroutine
		err = m.serve(work, ready)
	}()
	select {
	case <-ended:
	case <-m.broken.told:
	case <-m.etcd.Server.StopNotify():
	case <-ctx.Done():
	}
	stop()
	<-ended
	following.Wait()
	switch {
	case ctx.Err() != nil: // it was asked to end
		err = nil
	case err == nil:
		err = m.why(ctx)
	}
	return errors.Join(err, m.Close())
}

// Close ends the member in order. Run does it too.
func (m *Member) Close() error { return m.close() }

func (m *Member) end() (err error) {
	if m.client != nil {
		err = m.client.Close()
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		end(m.etcd)
	}()
	limit := closing
	if m.broken.why() != nil {
		limit = patience // what it was about to do when it gave up may hold the rest
	}
	late := time.NewTimer(limit)
	defer late.Stop()
	select {
	case <-ended:
		m.done()
		return err
	case <-late.C: // it may still use the directory, which stays locked until the process ends
		return errors.Join(err, fmt.Errorf("etcd did not end within %s", limit))
	}
}

// serve brings the member to where it can answer, and then looks after it.
func (m *Member) serve(ctx context.Context, ready func()) error {
	if err := m.take(ctx); err != nil || ctx.Err() != nil { // a member that ends is not ready
		return err
	}
	if err := m.move(ctx); err != nil {
		return err
	}
	if err := m.mark(); err != nil {
		return err
	}
	if err := m.compare(ctx, 0); err != nil {
		if errors.As(err, &Anew{}) {
			return err
		}
		m.config.Log.Debug("the members could not be compared", "err", err)
	}
	ready()
	return m.upkeep(ctx)
}

// take waits until the member has a vote and a majority answers, or ctx ends.
func (m *Member) take(ctx context.Context) (err error) {
	if m.outside, err = m.config.others(m.elsewhere()).Client(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.outside.Close()) }()
	asked := time.Now()
	for {
		switch self := m.etcd.Server.Cluster().Member(m.etcd.Server.MemberID()); {
		case self == nil: // it was removed
		case self.IsLearner:
			m.promote(ctx)
		case m.answers(ctx):
			return nil
		}
		if time.Since(asked) > quiet {
			if err := m.diagnose(ctx); err != nil {
				return err
			}
			asked = time.Now()
		}
		if !wait(ctx, again) {
			return nil
		}
	}
}

// answers says that a majority does.
func (m *Member) answers(ctx context.Context) bool {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	_, err := m.client.Get(ctx, "/registry/health")
	return err == nil
}

// wait says false when ctx ended first.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
