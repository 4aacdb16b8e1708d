package supervisor

import (
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// How much clients may ask, in units of a cheap request for each second. Many nodes may share one address behind a
// router, and come back all at once: hence the bursts.
const (
	clientRate, clientBurst = 100, 1000
	allRate, allBurst       = 1000, 5000
	guessRate, guessBurst   = 1, 30 // wrong tokens, and as many refused certificates
	// maxClients bounds how many addresses are told apart.
	maxClients = 4096
	// forgetAfter is when a client that asks nothing has all of its allowance again, with some time to spare.
	forgetAfter = time.Minute
)

// limits is what clients may ask: each, and all of them together.
type limits struct {
	all *rate.Limiter

	mu      sync.Mutex // guards what follows
	clients map[netip.Prefix]*allowance
	rest    *allowance // of all that are too many to tell apart
}

// allowance is what one address may still ask.
type allowance struct {
	requests, guesses, returns *rate.Limiter
	last                       time.Time
}

func newLimits() *limits {
	return &limits{all: rate.NewLimiter(allRate, allBurst), clients: map[netip.Prefix]*allowance{}, rest: newAllowance()}
}

func newAllowance() *allowance {
	return &allowance{requests: rate.NewLimiter(clientRate, clientBurst), guesses: rate.NewLimiter(guessRate, guessBurst),
		returns: rate.NewLimiter(guessRate, guessBurst)}
}

// allow takes the cost of a request from the client's allowance. This machine's own requests are not limited: a flood
// from outside must not keep the server's own node from starting.
func (l *limits) allow(r *http.Request, cost int) bool {
	from := addressOf(r)
	if from.IsLoopback() {
		return true
	}
	now := time.Now()
	return l.of(from).requests.AllowN(now, cost) && l.all.AllowN(now, cost)
}

// mayGuess says that the client has not sent too many wrong tokens.
func (l *limits) mayGuess(r *http.Request) bool { return l.of(addressOf(r)).guesses.Tokens() >= 1 }

// guessed counts a wrong token.
func (l *limits) guessed(r *http.Request) { l.of(addressOf(r)).guesses.Allow() }

// mayReturn says that not too many nodes have shown certificates from there that were over, and were refused. Tokens are counted by
// themselves: nodes that were given up must not keep others behind the same router from joining.
func (l *limits) mayReturn(r *http.Request) bool { return l.of(addressOf(r)).returns.Tokens() >= 1 }

// turnedAway counts such a certificate.
func (l *limits) turnedAway(r *http.Request) { l.of(addressOf(r)).returns.Allow() }

func (l *limits) of(from netip.Addr) *allowance {
	key := network(from)
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.clients[key]
	if c == nil {
		if len(l.clients) >= maxClients {
			l.forget()
		}
		if len(l.clients) >= maxClients {
			return l.rest
		}
		c = newAllowance()
		l.clients[key] = c
	}
	c.last = time.Now()
	return c
}

// forget drops clients that have been silent. The caller holds mu.
func (l *limits) forget() {
	for key, c := range l.clients {
		if time.Since(c.last) > forgetAfter {
			delete(l.clients, key)
		}
	}
}

// network is what counts as one client: an address, or for IPv6 the network that one customer gets.
func network(from netip.Addr) netip.Prefix {
	bits := from.BitLen()
	if from.Is6() {
		bits = 64
	}
	prefix, err := from.Prefix(bits)
	if err != nil {
		return netip.Prefix{} // no address: all such are one client
	}
	return prefix
}

func addressOf(r *http.Request) netip.Addr { return parseAddress(r.RemoteAddr) }

// parseAddress reads host:port; the zero address when there is none.
func parseAddress(text string) netip.Addr {
	at, err := netip.ParseAddrPort(text)
	if err != nil {
		return netip.Addr{}
	}
	return at.Addr().Unmap().WithZone("")
}
