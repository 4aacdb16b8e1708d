package run

import (
	"sync"
	"time"
)

// Trouble is what keeps a service that goes on trying from doing all of its work. A zero Trouble with a Name is none;
// its Details are for Service.Details.
type Trouble struct {
	// Name is what the trouble is about.
	Name string

	mu    sync.Mutex // guards what follows
	err   error
	since time.Time
}

// Set says what the trouble is now; nil ends it.
func (t *Trouble) Set(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err == nil || err == nil {
		t.since = time.Now()
	}
	t.err = err
}

// Details is the trouble, if there is any.
func (t *Trouble) Details() []Detail {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err == nil {
		return nil
	}
	return []Detail{{Name: t.Name, State: "trying", Bad: true, Since: t.since, Err: t.err}}
}
