package endpoint

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/skerry-io/skerry/internal/run"
)

const (
	// brief is how long a request waits for a server where somebody else can answer it: longer than a server takes that is
	// started again, as all is listed anew after an absence.
	brief = 10 * time.Second
	// firstPatience is how long servers may take to answer the first question of all after the start.
	firstPatience = 2500 * time.Millisecond
	// lookPatience is how long they may take later.
	lookPatience = 5 * time.Second
	// firstPause and lastPause are between two looks for a server while none is in reach: the first of them and all later ones.
	firstPause, lastPause = time.Second, 2 * time.Second
)

// errAway means that no server is in reach.
var errAway = errors.New("no API server is in reach")

// errOver means that no server would listen.
var errOver = errors.New("the node's certificates are over")

// absence is whether any server is in reach. A nil one means that nobody asks.
type absence struct {
	rows    *run.Rows
	log     *slog.Logger
	decided chan struct{} // closed when it is known at the start

	mu    sync.Mutex // guards what follows
	since time.Time
	back  chan struct{} // nil while a server is in reach
	gone  chan struct{} // closed while none is
	pause time.Duration
	look  time.Time // when to look next
}

// newAbsence begins with the question open when there is another who can answer, else with hope.
func newAbsence(open bool, rows *run.Rows, log *slog.Logger) *absence {
	a := &absence{rows: rows, log: log, decided: make(chan struct{}), gone: make(chan struct{})}
	if !open {
		close(a.decided)
	}
	return a
}

// open says that it is not known yet whether a server is in reach.
func (a *absence) open() bool {
	if a == nil {
		return false
	}
	select {
	case <-a.decided:
		return false
	default:
		return true
	}
}

// Away says since when no server is in reach. At the start it waits until that is known.
func (p *pool) Away() (since time.Time, back <-chan struct{}, away bool) {
	a := p.meanwhile
	if a == nil {
		return time.Time{}, nil, false
	}
	<-a.decided // within firstPatience
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.since, a.back, a.back != nil
}

// now gives what closes when a server is in reach again, nil while one is.
func (a *absence) now() (back <-chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.back
}

// begun waits until no server is in reach. It gives what closes when one is again, nil when ctx has ended.
func (a *absence) begun(ctx context.Context) (back <-chan struct{}) {
	for ctx.Err() == nil {
		a.mu.Lock()
		back, gone := a.back, a.gone
		a.mu.Unlock()
		if back != nil {
			return back
		}
		select {
		case <-gone:
		case <-ctx.Done():
		}
	}
	return nil
}

// next says whether no server is in reach, and in how long to look for one.
func (a *absence) next(now time.Time) (absent bool, in time.Duration) {
	if a == nil {
		return false, 0
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.back != nil, max(a.look.Sub(now), 0)
}

// briefly sends a request where somebody else can answer it: that no server is in reach is found out soon.
func (p *pool) briefly(s *sending) (*http.Response, error) {
	if _, _, away := p.Away(); away {
		return nil, errAway
	}
	begin := time.Now()
	for {
		answer, err := s.round()
		if err == nil || s.over {
			return answer, err
		}
		patience := min(brief, p.patience)
		if s.waits {
			patience = p.patience
		}
		if time.Since(begin) > patience {
			p.leave(err)
			return nil, err
		}
		select {
		case <-time.After(redial):
		case <-s.request.Context().Done():
			return nil, context.Cause(s.request.Context())
		}
	}
}

// leave notes that no server is in reach.
func (p *pool) leave(why error) {
	a := p.meanwhile
	a.mu.Lock()
	if a.back != nil {
		a.mu.Unlock()
		return
	}
	since := time.Now()
	a.back, a.since, a.pause, a.look = make(chan struct{}), since, firstPause, since.Add(firstPause)
	close(a.gone)
	a.mu.Unlock()
	a.log.Warn("no API server is in reach; the node goes by what servers said last", "err", why)
	a.rows.Set(run.Detail{Name: "servers", State: "offline", Bad: true,
		Err: fmt.Errorf("offline since %s: %w", since.Format(time.DateTime), why)})
	for _, u := range p.known() {
		u.giveUp() // connections that nobody answers on must not be waited for when a server is back
	}
	p.wake()
}

// returned notes that a server is in reach.
func (p *pool) returned(u *upstream) {
	a := p.meanwhile
	if a == nil {
		return
	}
	a.mu.Lock()
	back, since := a.back, a.since
	if back == nil {
		a.mu.Unlock()
		return
	}
	a.back, a.gone = nil, make(chan struct{})
	a.mu.Unlock()
	a.rows.Drop("servers")
	a.log.Info("an API server is in reach again", "server", u.url, "away", time.Since(since).Round(time.Second).String())
	close(back)
	p.news()
}

// firstLook decides at the start whether a server is in reach, where somebody else can answer.
func (p *pool) firstLook(ctx context.Context) {
	if !p.meanwhile.open() {
		return
	}
	defer close(p.meanwhile.decided)
	why := errAway
	if !p.wanted() {
		why = errOver
	} else if p.find(ctx, firstPatience) != nil || ctx.Err() != nil {
		return
	}
	p.leave(why)
}

// wanted says that a server would listen to this node.
func (p *pool) wanted() bool { return p.counts == nil || p.counts() }

// lookAgain looks for a server while none is in reach.
func (p *pool) lookAgain(ctx context.Context) {
	if p.wanted() {
		if u := p.find(ctx, lookPatience); u != nil {
			p.returned(u)
			return
		}
	}
	a := p.meanwhile
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pause = min(2*a.pause, lastPause)
	a.look = time.Now().Add(a.pause)
}

// find asks all servers at once and gives the first that is ready, nil when none is.
func (p *pool) find(ctx context.Context, patience time.Duration) *upstream {
	ctx, cancel := context.WithTimeout(ctx, patience)
	var asked sync.WaitGroup
	defer asked.Wait()
	defer cancel()
	all := p.others(nil)
	found := make(chan *upstream, len(all))
	for _, u := range all {
		asked.Go(func() {
			if !u.probe(ctx) {
				u = nil
			}
			found <- u
		})
	}
	for range all {
		if u := <-found; u != nil {
			return u
		}
	}
	return nil
}
