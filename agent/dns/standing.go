package dns

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coredns/coredns/plugin"
	"github.com/miekg/dns"

	"github.com/skerry-io/skerry/internal/run"
)

// What the status tells of.
const (
	rowCluster   = "cluster-names"
	rowUpstreams = "upstreams"
)

// contact is how the API server answers what follows the cluster's names.
type contact struct {
	heard chan struct{} // holds one entry when there is a newer answer

	mu  sync.Mutex // guards err
	err error
}

func newContact() *contact {
	return &contact{heard: make(chan struct{}, 1), err: errors.New("no API server has answered yet")}
}

// over gives a transport that notes how requests end.
func (c *contact) over(next http.RoundTripper) http.RoundTripper {
	return listening{next: next, contact: c}
}

type listening struct {
	next    http.RoundTripper
	contact *contact
}

// RoundTrip is next's.
func (l listening) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := l.next.RoundTrip(r)
	switch {
	case r.Context().Err() != nil: // it was called off
	case err != nil:
		l.contact.note(err)
	case answer.StatusCode >= http.StatusBadRequest && answer.StatusCode != http.StatusGone: // which only means to list again
		l.contact.note(fmt.Errorf("the API server answers %s", answer.Status))
	default:
		l.contact.note(nil)
	}
	return answer, err
}

func (c *contact) note(err error) {
	c.mu.Lock()
	c.err = err
	c.mu.Unlock()
	select {
	case c.heard <- struct{}{}:
	default: // it will be looked at
	}
}

func (c *contact) trouble() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// listLook is how often it is looked whether the first list is complete, while a server sends it.
const listLook = 200 * time.Millisecond

// followContact says in the rows whether the cluster's names are known, until ctx ends. It sleeps while nothing changes.
func followContact(ctx context.Context, c *contact, names *cluster, rows *run.Rows) {
	known, patient := names.kube.APIConn.HasSynced, names.until
	for {
		var again <-chan time.Time
		switch err := c.trouble(); {
		case known() && err == nil:
			rows.Set(run.Detail{Name: rowCluster, State: "known"})
		case known(): // answers go on
			rows.Set(run.Detail{Name: rowCluster, State: "kept", Err: err})
		case err == nil:
			rows.Set(run.Detail{Name: rowCluster, State: "waiting", Err: errors.New("for the first list")})
			again = time.After(listLook)
		case time.Until(patient) > 0: // questions wait
			rows.Set(run.Detail{Name: rowCluster, State: "waiting", Err: err})
			again = time.After(time.Until(patient))
		default: // pods get no answer
			rows.Set(run.Detail{Name: rowCluster, State: "waiting", Bad: true, Err: err})
		}
		select {
		case <-c.heard:
		case <-again:
		case <-ctx.Done():
			return
		}
	}
}

// outside tells how the host's DNS servers do. It costs a question nothing but a look at a number.
type outside struct {
	rows    *run.Rows
	failing atomic.Bool
}

// named says which there are.
func (o *outside) named(count int) {
	o.failing.Store(false)
	if count == 0 {
		o.rows.Set(run.Detail{Name: rowUpstreams, State: "none", Err: errors.New("this host names no DNS server")})
		return
	}
	o.rows.Set(run.Detail{Name: rowUpstreams, State: "in use"})
}

// link is asked before next, and notes what becomes of the question. That one does not get through is no trouble of this
// node, which may be where there is no network.
func (o *outside) link(next plugin.Handler) plugin.Handler {
	return plugin.HandlerFunc(func(ctx context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
		code, err := next.ServeDNS(ctx, w, r)
		switch {
		case errors.Is(err, errNobody):
		case err != nil:
			o.failing.Store(true)
			o.rows.Set(run.Detail{Name: rowUpstreams, State: "silent", Err: err})
		case o.failing.CompareAndSwap(true, false):
			o.rows.Set(run.Detail{Name: rowUpstreams, State: "in use"})
		}
		return code, err
	})
}
