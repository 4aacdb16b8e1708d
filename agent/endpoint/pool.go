package endpoint

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/traffic"
)

// redial is the pause between two rounds through the servers while a request waits.
const redial = 50 * time.Millisecond

// pool sends each request to one of several servers.
type pool struct {
	id       Identity
	list     Servers
	patience time.Duration
	log      *slog.Logger
	awake    chan struct{} // tells watch that a server got something to do
	// meanwhile is set where somebody answers while no server is in reach.
	meanwhile *absence
	counts    func() bool // see Config.Counts
	back      func()      // see Config.Back
	traffic   *traffic.Meter
	doubts    chan *upstream
	chance    time.Duration // see lastChance

	mu      sync.Mutex // guards what follows
	servers []*upstream
	current *upstream       // answered last
	changed <-chan struct{} // of the list
}

func newPool(id Identity, list Servers, patience time.Duration, meter *traffic.Meter, log *slog.Logger) (*pool, error) {
	p := &pool{id: id, list: list, patience: patience, traffic: meter, log: log, awake: make(chan struct{}, 1), doubts: make(chan *upstream, 1), chance: lastChance}
	return p, p.adopt()
}

// adopt takes over the list. A server that left it keeps what is under way there, and gets nothing more.
func (p *pool) adopt() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.changed = p.list.Changed()
	known := map[string]*upstream{}
	for _, u := range p.servers {
		known[u.url] = u
		u.setPlace(-1)
	}
	var next []*upstream
	var errs []error
	for order, url := range p.list.URLs() {
		u := known[url]
		if u == nil {
			var err error
			if u, err = newUpstream(url, p.id); err != nil {
				errs = append(errs, err)
				continue
			}
			if !u.local {
				u.count = p.traffic.Of(u.address, traffic.API)
			}
		}
		u.setPlace(order)
		next = append(next, u)
	}
	for _, u := range p.servers {
		if _, listed := u.place(); listed {
			continue
		}
		if u.closeIdle(); u.busy.Load() > 0 {
			next = append(next, u)
		}
	}
	p.servers = next
	if len(next) == 0 {
		errs = append(errs, fault.New("no API server is known").Fix("set server to the URL of one"))
		return errors.Join(errs...)
	}
	for _, err := range errs {
		p.log.Warn("a server of the list is left out", "err", err)
	}
	return nil
}

// choose gives the server to try next, nil when all were tried: the best by condition; among those of the same the one on
// this machine, then the one in use, then the first in the list.
func (p *pool) choose(tried []*upstream) *upstream {
	p.mu.Lock()
	defer p.mu.Unlock()
	rank := func(u *upstream) [3]int {
		order, _ := u.place()
		preference := 2
		switch {
		case u.local:
			preference = 0
		case u == p.current:
			preference = 1
		}
		return [3]int{int(u.is()), preference, order}
	}
	var best *upstream
	for _, u := range p.servers {
		if _, listed := u.place(); !listed || slices.Contains(tried, u) {
			continue
		}
		if best == nil || compare(rank(u), rank(best)) < 0 {
			best = u
		}
	}
	return best
}

func compare(a, b [3]int) int {
	return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1]), cmp.Compare(a[2], b[2]))
}

// use notes the server that answered.
func (p *pool) use(u *upstream) {
	if condition(u.condition.Swap(int32(good))) != good {
		p.news()
	}
	p.returned(u)
	p.mu.Lock()
	before := p.current
	p.current = u
	p.mu.Unlock()
	if before != nil && before != u {
		p.log.Info("the API is now asked of another server", "server", u.url, "before", before.url)
	}
}

// InUse is the URL of the server that answered last, see Upstream.
func (p *pool) InUse() string {
	p.mu.Lock()
	u := p.current
	p.mu.Unlock()
	if u == nil || u.local || u.is() != good {
		return ""
	}
	return u.url
}

// Doubt has a server asked whether it is there, see Upstream.
func (p *pool) Doubt(server string) {
	for _, u := range p.known() {
		if u.url != server {
			continue
		}
		select {
		case p.doubts <- u:
		default: // there is a doubt already
		}
	}
}

// news says that a server is in reach that was not.
func (p *pool) news() {
	if p.back != nil {
		p.back()
	}
}

// RoundTrip sends a request to a server that answers, and waits a while when there is none.
func (p *pool) RoundTrip(r *http.Request) (*http.Response, error) {
	s := sending{pool: p, request: r, body: bodyOf(r)}
	if p.meanwhile != nil {
		return p.briefly(&s)
	}
	until := time.Now().Add(p.patience)
	for {
		answer, err := s.round()
		if err == nil || s.over || !s.hope || time.Now().After(until) {
			return answer, err
		}
		select {
		case <-time.After(redial):
		case <-r.Context().Done():
			return nil, context.Cause(r.Context())
		}
	}
}

// sending is one request until it has its answer.
type sending struct {
	pool    *pool
	request *http.Request
	body    *onceBody
	lost    int  // times that a server took it and did not answer
	waits   bool // a server of the last round says that it is starting
	over    bool // it cannot be sent again
	hope    bool // a server of the last round may answer in a moment
}

// round asks each server at most once, until one answers.
func (s *sending) round() (*http.Response, error) {
	s.hope, s.waits = false, false
	var tried []*upstream
	var errs []error
	for u := s.pool.choose(nil); u != nil; u = s.pool.choose(tried) {
		tried = append(tried, u)
		answer, err := s.ask(u)
		if err == nil || s.over {
			return answer, err
		}
		s.hope = s.hope || passes(err)
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// ask sends the request to one server. It sets over when there must be no other attempt.
func (s *sending) ask(u *upstream) (*http.Response, error) {
	road, err := u.road(Caller(s.request.Context()))
	if err != nil {
		return nil, err
	}
	var a attempt
	done, begun := s.pool.begin(u)
	answer, err := road.RoundTrip(a.prepare(s.request, s.body, u))
	if err != nil {
		done()
		return nil, s.failed(u, err, a.sent.Load())
	}
	if !isStarting(answer) {
		s.pool.use(u)
	} else if u.set(starting); s.body.whole() {
		_ = answer.Body.Close()
		done()
		s.waits = true
		return nil, &startingError{u.url}
	}
	watch := isWatch(s.request)
	if watch {
		begun()
	}
	answer.Body = endsWith(answer.Body, done, watch)
	return answer, nil
}

// failed decides what an attempt without an answer means for the server and for the request.
func (s *sending) failed(u *upstream, err error, sent bool) error {
	if s.request.Context().Err() != nil { // the caller went away, the server is not to blame
		s.over = true
		return err
	}
	if !sent || distrusted(err) {
		u.set(gone)
		return err // no server has seen it
	}
	s.lost++
	if !onlyReads(s.request) || !s.body.whole() || s.lost >= maxLost {
		s.over = true
		return &lostError{err}
	}
	s.hope = true
	return err
}

// begin counts a request until done is called, as one that somebody waits for until begun or done is.
func (p *pool) begin(u *upstream) (done, begun func()) {
	u.busy.Add(1)
	if u.waiting.Add(1) == 1 {
		p.wake()
	}
	begun = sync.OnceFunc(func() { u.waiting.Add(-1) })
	return sync.OnceFunc(func() {
		begun()
		u.busy.Add(-1)
	}), begun
}

// known gives the servers, those included that left the list and have something to do.
func (p *pool) known() []*upstream {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.servers)
}

func (p *pool) wake() {
	select {
	case p.awake <- struct{}{}:
	default: // it was told already
	}
}

func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, u := range p.servers {
		u.closeIdle()
	}
}
