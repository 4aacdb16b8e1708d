package endpoint

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skerry-io/skerry/internal/run"
	"github.com/skerry-io/skerry/internal/wire"
)

// standIn answers for the servers while none is in reach.
type standIn struct {
	holds bool
	back  atomic.Pointer[<-chan struct{}]
	told  atomic.Int32 // that a server is back
}

func (s *standIn) Holds() bool { return s.holds }

func (s *standIn) Around(servers Reach) http.RoundTripper {
	return roundTrip(func(r *http.Request) (*http.Response, error) {
		if _, _, away := servers.Away(); !away {
			if answer, err := servers.RoundTrip(r); err == nil {
				return answer, nil
			}
		}
		_, back, away := servers.Away()
		if !away {
			return servers.RoundTrip(r)
		}
		s.back.Store(&back)
		return &http.Response{StatusCode: http.StatusTeapot, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("remembered")), Request: r}, nil
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// shortly is how long requests wait in these tests.
const shortly = 2 * time.Second

// alone runs an endpoint with a stand-in.
func (c *cluster) alone(t *testing.T, upstream string, s *standIn) (at string, rows *run.Rows) {
	t.Helper()
	rows = &run.Rows{}
	address := freeAddress(t)
	e := New(Config{Address: address, Servers: newList("https://" + upstream), Offline: s, Rows: rows, Back: func() { s.told.Add(1) }}, c, slog.New(slog.DiscardHandler))
	e.patience = shortly
	ctx, cancel := context.WithCancel(t.Context())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- e.Run(ctx, func() { close(ready) }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	<-ready
	return "https://" + address, rows
}

func says(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != wire.PathReady {
		_, _ = w.Write([]byte("served"))
	}
}

func TestWithNoServerAtTheStartTheStandInAnswersSoon(t *testing.T) {
	c := newCluster(t)
	upstream := freeAddress(t)
	s := &standIn{holds: true}
	url, rows := c.alone(t, upstream, s)
	caller := c.caller(t, c.clients[kubelet])
	began := time.Now()
	if code, body := get(t, caller, url+"/api", ""); code != http.StatusTeapot || body != "remembered" || time.Since(began) > shortly {
		t.Errorf("after %v: %d %q", time.Since(began), code, body)
	}
	told := rows.Details()
	if len(told) != 1 || !told[0].Bad || told[0].State != "offline" || !strings.Contains(told[0].Err.Error(), "offline since") || told[0].Since.IsZero() {
		t.Errorf("it is told %v", told)
	}
	c.serve(t, upstream, says)
	select {
	case <-*s.back.Load():
	case <-time.After(3 * lastPause):
		t.Fatal("it is not noticed that a server is back")
	}
	if code, body := get(t, caller, url+"/api", ""); code != http.StatusOK || body != "served" || s.told.Load() == 0 {
		t.Errorf("then: %d %q, told %d times", code, body, s.told.Load())
	}
	if told := rows.Details(); len(told) != 0 {
		t.Errorf("it is told %v", told)
	}
}

func TestAServerThatIsThereIsAsked(t *testing.T) {
	c := newCluster(t)
	upstream := freeAddress(t)
	c.serve(t, upstream, says)
	for _, holds := range []bool{true, false} {
		url, _ := c.alone(t, upstream, &standIn{holds: holds})
		if code, body := get(t, c.caller(t, c.clients[kubelet]), url+"/api", ""); code != http.StatusOK || body != "served" {
			t.Errorf("%d %q", code, body)
		}
	}
}

func TestAServerThatRefusesIsMissedSoon(t *testing.T) {
	c := newCluster(t)
	upstream := freeAddress(t)
	url, _ := c.alone(t, upstream, &standIn{}) // which begins with hope, as it has nothing to say
	caller := c.caller(t, c.clients[kubelet])
	began := time.Now()
	if code, _ := get(t, caller, url+"/api", ""); code != http.StatusTeapot || time.Since(began) < shortly || time.Since(began) > 2*shortly {
		t.Errorf("after %v: %d", time.Since(began), code)
	}
	c.serve(t, upstream, says)
	for time.Since(began) < 30*time.Second {
		if code, _ := get(t, caller, url+"/api", ""); code == http.StatusOK {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Error("it is not noticed that it is back")
}
