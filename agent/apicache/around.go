package apicache

import (
	"errors"
	"io"
	"net/http"
	"time"
)

// Servers is the way to the servers.
type Servers interface {
	http.RoundTripper
	// Away says since when no server is in reach; back closes when one is again.
	Away() (since time.Time, back <-chan struct{}, away bool)
}

// Around is the way to the servers while there are any, and to what they said last while there are none.
func (k *Cache) Around(servers Servers) http.RoundTripper {
	return &transport{cache: k, servers: servers}
}

type transport struct {
	cache   *Cache
	servers Servers
}

// RoundTrip asks a server, or answers itself. A request that a server may have seen is not answered twice.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	user := t.cache.config.Caller(r.Context())
	q := parse(r, user)
	if user == "" {
		return t.pod(q, r)
	}
	if since, back, away := t.servers.Away(); away {
		return t.alone(q, r, since, back)
	}
	if t.cache.misled(q) {
		closeBody(r)
		return refuse(r, expired("what it would go on from was told by this node alone")), nil
	}
	asked, err := t.cache.remembering(&q, r)
	if err != nil {
		return nil, err
	}
	answer, err := t.servers.RoundTrip(r)
	if err == nil {
		t.cache.record(q, answer)
		t.cache.recordToken(q, asked, answer)
		return answer, nil
	}
	since, back, away := t.servers.Away()
	if !away || r.Context().Err() != nil || lost(err) {
		return nil, err
	}
	if asked != nil {
		r.Body = io.NopCloser(asked.reader())
	}
	return t.alone(q, r, since, back)
}

// podPatience is how long a request of a pod waits for a server before it is refused: one that is started again is back in a moment.
const podPatience = 15 * time.Second

// pod sends a request of which only a server knows who asks. While there is none, what is remembered is answered at once.
func (t *transport) pod(q query, r *http.Request) (*http.Response, error) {
	for {
		since, back, away := t.servers.Away()
		if !away {
			answer, err := t.servers.RoundTrip(r)
			if _, _, away = t.servers.Away(); err == nil || !away || lost(err) || r.Context().Err() != nil {
				return answer, err
			}
			continue
		}
		answer := t.cache.pod(q, r, since, back)
		left := time.Until(since.Add(podPatience))
		if answer.StatusCode != http.StatusServiceUnavailable || left <= 0 {
			closeBody(r)
			return answer, nil
		}
		select {
		case <-back:
		case <-time.After(left):
			closeBody(r)
			return answer, nil
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
}

// closeBody ends the reading of a request, as whoever answers it has to.
func closeBody(r *http.Request) {
	if r.Body != nil {
		_ = r.Body.Close() // what was not read of it does not matter any more
	}
}

// lost says that a server may have carried the request out.
func lost(err error) bool {
	var is interface{ MayBeDone() bool }
	return errors.As(err, &is)
}

// alone answers without a server.
func (t *transport) alone(q query, r *http.Request, since time.Time, back <-chan struct{}) (*http.Response, error) {
	defer closeBody(r)
	k := t.cache
	k.settle()
	switch {
	case q.resource == "":
		return refuse(r, away(since, "this is not remembered")), nil
	case q.method != http.MethodGet:
		return k.write(q, r, since), nil
	case q.watch:
		return k.watch(q, r, since, back), nil
	}
	return k.read(q, r, since), nil
}
