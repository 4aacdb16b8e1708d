package endpoint

import (
	"context"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/skerry-io/skerry/internal/wire"
)

// The times add up to less than the three seconds within which requests and watches go on at another server.
const (
	// listenFor is how long a server that has something to do may say nothing before it is asked whether it is there.
	listenFor = 1200 * time.Millisecond
	// headStart is how long it alone is asked; then the others are, too.
	headStart = 300 * time.Millisecond
	// verdict is how long it may take to answer.
	verdict = 1100 * time.Millisecond
	// idleLook is the pause between two looks at a preferred server that is not in use.
	idleLook = 10 * time.Second
	// soon is the shortest pause.
	soon = 20 * time.Millisecond
	// maxProbe bounds what is read of an answer, in bytes; a connection is used again only after its answer was read.
	maxProbe = 4 << 10
)

// watch looks after the servers until ctx ends: it takes over changes of the list, asks servers that are silent although
// something waits for them, and looks whether a preferred one is back. With one server, or nothing under way, it sleeps.
func (p *pool) watch(ctx context.Context) {
	p.firstLook(ctx)
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
		case u.busy.Load() > 0:
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
		case u.busy.Load() > 0 && !time.Now().Before(u.due()):
			asked.Go(func() { p.examine(ctx, u) })
		case u.busy.Load() == 0 && u.local && u.is() != good:
			asked.Go(func() { u.probe(ctx) })
		}
	}
	asked.Wait()
}

// due is when a server that has something to do is to be asked whether it is there.
func (u *upstream) due() time.Time {
	last := time.Unix(0, max(u.heard.Load(), u.examined.Load()))
	return last.Add(listenFor)
}

// examine asks a silent server whether it is there. It is given up only when it stays silent and another one answers:
// with no better server, or on a host too busy to hear, patience costs less.
func (p *pool) examine(ctx context.Context, u *upstream) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, verdict)
	var asked sync.WaitGroup
	defer asked.Wait()
	defer cancel()
	defer func() { u.examined.Store(time.Now().UnixNano()) }()
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
		return
	}
	better := make(chan bool, 1)
	asked.Go(func() { better <- anyReady(ctx, p.others(u)) })
	<-own // at the verdict at the latest
	if u.lastHeard().After(began) || !<-better {
		return
	}
	p.log.Warn("an API server went silent; what hangs on it goes on at another", "server", u.url)
	u.giveUp()
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
	road, err := u.road("")
	if err != nil {
		return false
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+u.address+wire.PathReady, http.NoBody)
	if err != nil {
		return false
	}
	answer, err := road.multiplexed.RoundTrip(request)
	if err != nil {
		if ctx.Err() == nil {
			u.set(gone)
		}
		return false
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, maxProbe))
	u.hear()
	if answer.StatusCode != http.StatusOK {
		u.set(starting)
		return false
	}
	u.set(good)
	return true
}
