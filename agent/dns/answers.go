package dns

import (
	"context"
	"sync"
	"time"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/miekg/dns"
)

// answers is the chain at work, and lets another take its place between two questions.
type answers struct {
	mu    sync.Mutex // guards what follows
	chain *chain     // nil before the first and after the last
}

// serve answers one question.
func (a *answers) serve(ctx context.Context, w dns.ResponseWriter, r *dns.Msg) {
	a.mu.Lock()
	c := a.chain
	if c != nil {
		c.users.Add(1)
	}
	a.mu.Unlock()
	if c == nil {
		return
	}
	defer c.users.Done()
	ctx = context.WithValue(ctx, dnsserver.Key{}, c.server) // aliases are looked up in the same chain
	ctx = context.WithValue(ctx, dnsserver.LoopKey{}, 0)
	c.server.ServeDNS(ctx, w, r)
}

// replace puts a chain to work, or none, and ends the one before when the questions it has are answered, or after a while.
func (a *answers) replace(next *chain, patience time.Duration) {
	a.mu.Lock()
	last := a.chain
	a.chain = next
	a.mu.Unlock()
	if last == nil {
		return
	}
	done := make(chan struct{})
	go func() { // ends with the last question, which has a time limit of its own
		last.users.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(patience):
	}
	last.close()
}
