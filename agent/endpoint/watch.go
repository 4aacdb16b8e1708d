package endpoint

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/skerry-io/skerry/internal/wire"
)

// The times add up to less than the three seconds within which requests and watches go on at another server.
const (
	// listenFor is how long a server that somebody waits for may say nothing before it is asked whether it is there.
	listenFor = 1200 * time.Millisecond
	// headStart is how long it alone is asked; then the others are, too.
	headStart = 300 * time.Millisecond
	// verdict is how long it may take to answer.
	verdict = 1100 * time.Millisecond
	// lastChance is how long a server may take to answer that is doubted where there is no better one: this machine may be too
	// busy to hear anything, and to begin all watches anew would make it busier.
	lastChance = 12 * time.Second
	// idleLook is the pause between two looks at a preferred server that is not in use.
	idleLook = 10 * time.Second
	// soon is the shortest pause.
	soon = 20 * time.Millisecond
	// maxProbe bounds what is read of an answer, in bytes; a connection is used again only after its answer was read.
	maxProbe = 4 << 10
)

// watch looks after the servers until ctx ends: it takes over changes of the list, asks servers that are silent although
// somebody waits for them, or doubts them, and looks whether a preferred one is back. With one server, or nothing but watches under
// way, it sleeps: what finds out then that a server is lost is the node's heartbeat.
func (p *pool) watch(ctx context.Context) {
	p.firstLook(ctx)
	var doubting sync.WaitGroup
	defer doubting.Wait()
	for {
		p.mu.Lock()
		changed := p.changed
		p.mu.Unlock()
		pause := time.NewTimer(p.pause(time.Now()))
		select {
		case <-ctx.Done():
			pause.Stop()
			return
		case <-changed:
			if err := p.adopt(); err != nil {
				p.log.Warn("the new list of servers cannot be used", "err", err)
			}
		case <-p.awake:
		case u := <-p.doubts:
			if u.doubted.CompareAndSwap(false, true) {
				doubting.Go(func() { p.doubt(ctx, u) })
			}
		case <-pause.C:
			p.look(ctx)
		}
		pause.Stop()
	}
}

// others are the servers of the list besides one.
func (p *pool) others(than *upstream) []*upstream {
	var others []*upstream
	for _, u := range p.known() {
		if _, listed := u.place(); listed && u != than {
			others = append(others, u)
		}
	}
	return others
}

// pause is how long nothing has to be looked at.
func (p *pool) pause(now time.Time) time.Duration {
	pause := time.Hour
	if absent, next := p.meanwhile.next(now); absent {
		return next
	}
	all := p.known()
	if len(all) < 2 {
		return pause // there is nothing to choose from
	}
	for _, u := range all {
		switch {
		case u.waiting.Load() > 0:
			pause = min(pause, u.due().Sub(now))
		case u.local && u.is() != good:
			pause = min(pause, idleLook)
		}
	}
	return max(pause, soon)
}

// look asks the servers that it is time for, side by side.
func (p *pool) look(ctx context.Context) {
	if absent, _ := p.meanwhile.next(time.Now()); absent {
		p.lookAgain(ctx)
		return
	}
	all := p.known()
	if len(all) < 2 {
		return
	}
	var asked sync.WaitGroup
	for _, u := range all {
		switch {
		case u.waiting.Load() > 0 && !time.Now().Before(u.due()):
			asked.Go(func() { p.examine(ctx, u) })
		case u.waiting.Load() == 0 && u.local && u.is() != good:
			asked.Go(func() { u.probe(ctx) })
		}
	}
	asked.Wait()
}

// due is when a server that somebody waits for is to be asked whether it is there.
func (u *upstream) due() time.Time {
	return u.epoch.Add(time.Duration(max(u.heard.Load(), u.examined.Load())) + listenFor)
}

// examine asks a silent server whether it is there. It is given up only when it stays silent and another one answers:
// with no better server, or on a host too busy to hear, patience costs less.
func (p *pool) examine(ctx context.Context, u *upstream) (givenUp bool) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, verdict)
	var asked sync.WaitGroup
	defer asked.Wait()
	defer cancel()
	defer func() { u.examined.Store(int64(time.Since(u.epoch))) }()
	own := make(chan struct{})
	asked.Go(func() {
		defer close(own)
		u.probe(ctx)
	})
	select {
	case <-own:
	case <-time.After(headStart):
	}
	if u.lastHeard().After(began) {
		return false
	}
	better := make(chan bool, 1)
	asked.Go(func() { better <- anyReady(ctx, p.others(u)) })
	<-own // at the verdict at the latest
	if u.lastHeard().After(began) || !<-better {
		return false
	}
	p.log.Warn("an API server went silent; what hangs on it goes on at another", "server", u.url)
	u.giveUp()
	return true
}

// doubt asks a server that left somebody without an answer, where there are others as soon as examine does. Then each user's
// connection is asked: a router that forgot them, or another address, leaves some dead at a server that is there.
func (p *pool) doubt(ctx context.Context, u *upstream) {
	defer u.doubted.Store(false)
	began := time.Now()
	if len(p.others(u)) > 0 && p.examine(ctx, u) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, p.chance)
	defer cancel()
	silent := u.silent(ctx)
	switch {
	case !errors.Is(ctx.Err(), context.DeadlineExceeded):
	case !u.lastHeard().After(began):
		p.log.Warn("the API server went silent", "server", u.url)
		u.giveUp()
	case len(silent) > 0:
		p.log.Warn("connections to an API server went silent; what hangs on them begins again", "server", u.url, "users", silent)
		u.leave(silent...)
	}
}

// silent asks the server over each user's connection, and gives those who have no answer when ctx ends.
func (u *upstream) silent(ctx context.Context) []string {
	users := u.users()
	if !slices.Contains(users, "") {
		users = append(users, "") // over a new connection
	}
	var asked sync.WaitGroup
	var mu sync.Mutex // guards silent
	var silent []string
	for _, user := range users {
		asked.Go(func() {
			status, err := u.ask(ctx, user)
			if user == "" {
				u.judge(ctx, status, err)
			}
			if err != nil && ctx.Err() != nil {
				mu.Lock()
				defer mu.Unlock()
				silent = append(silent, user)
			}
		})
	}
	asked.Wait()
	return silent
}

// anyReady asks all of them, and is true as soon as one is ready.
func anyReady(ctx context.Context, servers []*upstream) bool {
	ctx, cancel := context.WithCancel(ctx)
	var asked sync.WaitGroup
	defer asked.Wait()
	defer cancel()
	answers := make(chan bool, len(servers))
	for _, u := range servers {
		asked.Go(func() { answers <- u.probe(ctx) })
	}
	for range servers {
		if <-answers {
			return true
		}
	}
	return false
}

// probe asks a server whether its API is there. Any answer counts as being heard.
func (u *upstream) probe(ctx context.Context) (ready bool) {
	status, err := u.ask(ctx, "")
	return u.judge(ctx, status, err)
}

// judge notes what an answer, or none, says of a server.
func (u *upstream) judge(ctx context.Context, status int, err error) (ready bool) {
	switch {
	case err != nil && ctx.Err() == nil:
		u.set(gone)
	case err != nil:
	case status != http.StatusOK:
		u.set(starting)
	default:
		u.set(good)
	}
	return err == nil && status == http.StatusOK
}

// ask asks for the state of a server's API over a user's connection.
func (u *upstream) ask(ctx context.Context, user string) (status int, err error) {
	road, err := u.road(user)
	if err != nil {
		return 0, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+u.address+wire.PathReady, http.NoBody)
	if err != nil {
		return 0, err
	}
	answer, err := road.multiplexed.RoundTrip(request)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, maxProbe))
	u.hear()
	return answer.StatusCode, nil
}
