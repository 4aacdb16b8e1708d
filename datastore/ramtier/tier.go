package ramtier

import (
	"log/slog"
	"strings"
	"sync"

	"github.com/skerry-io/skerry/datastore/engine"
)

const (
	// usualLimit is what all values may take, in bytes: more than ten thousand events.
	usualLimit = 16 << 20
	// reserve is kept for what must not be dropped, in bytes.
	reserve = 4 << 20
)

// Prefixes are the keys that live here. What may be dropped when there is no room is told by droppable.
func Prefixes() []string {
	return []string{"/registry/leases/", "/registry/events/",
		"/registry/masterleases/", "/registry/peerserverleases/", // API servers tell each other that they are there
		"compact_rev_key_apiserver", // what they last compacted
	}
}

// droppable says that nobody comes to harm when a key goes before its time: events are for people who look.
func droppable(key string) bool { return strings.HasPrefix(key, "/registry/events/") }

// value is what a revision wrote.
type value struct {
	data []byte
	size int
	past bool // only who asks for the past can see it
}

// Tier is an engine.Memory.
type Tier struct {
	path string
	log  *slog.Logger
	at   func(failpoint string)

	mu     sync.RWMutex // guards what follows
	limit  int
	values map[int64]value
	total  int
	past   int
	queue  []place // what may be dropped, the oldest first
}

// place is a key at a revision.
type place struct {
	key      string
	revision int64
}

// Options are what a tier can be told.
type Options struct {
	// Path is the checkpoint's.
	Path string
	// Limit bounds what the values take, in bytes; 0 means the usual.
	Limit int
	// Failpoint, if set, is told the names of places where a test can end the process.
	Failpoint func(name string)
	Log       *slog.Logger
}

// New makes a tier that keeps nothing yet.
func New(o Options) *Tier {
	if o.Limit == 0 {
		o.Limit = usualLimit
	}
	if o.Failpoint == nil {
		o.Failpoint = func(string) {}
	}
	return &Tier{path: o.Path, log: o.Log, at: o.Failpoint, limit: o.Limit, values: map[int64]value{}}
}

// Keeps says that a key is short-lived.
func (t *Tier) Keeps(key string) bool {
	for _, prefix := range Prefixes() {
		if strings.HasPrefix(key, prefix) {
			return true
		}
	}
	return false
}

// Put keeps a record; former is the revision of the same key that it follows, 0 for none.
func (t *Tier) Put(r engine.Record, former int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if before, there := t.values[former]; there && !before.past {
		before.past = true
		t.values[former], t.past = before, t.past+before.size
	}
	v := value{data: r.Value, size: r.Size(), past: r.Deleted}
	if v.past {
		t.past += v.size
	}
	t.values[r.Revision], t.total = v, t.total+v.size
	if !r.Deleted && droppable(r.Key) {
		t.queue = append(t.queue, place{r.Key, r.Revision})
	}
}

// Value gives what a revision wrote.
func (t *Tier) Value(revision int64) ([]byte, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	v, there := t.values[revision]
	return v.data, there
}

// Drop forgets a revision.
func (t *Tier) Drop(revision int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	v, there := t.values[revision]
	if !there {
		return
	}
	delete(t.values, revision)
	if t.total -= v.size; v.past {
		t.past -= v.size
	}
}

// Past is what is kept for those who ask for the past, in bytes.
func (t *Tier) Past() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.past
}

// Excess names the event that goes next because all together take too much: the one that was written longest ago.
func (t *Tier) Excess() (key string, revision int64, over bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.trim()
	if t.total-t.past <= t.limit || len(t.queue) == 0 {
		return "", 0, false
	}
	next := t.queue[0]
	t.queue = t.queue[1:]
	return next.key, next.revision, true
}

// trim takes those out of the queue that are gone already; the caller holds the lock.
func (t *Tier) trim() {
	for len(t.queue) > 0 {
		if v, there := t.values[t.queue[0].revision]; there && !v.past {
			return
		}
		t.queue = t.queue[1:]
	}
}

// Room says whether a value of that size may be put. What is over the limit is made room for; what is far over is refused.
func (t *Tier) Room(size int) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.total-t.past+size <= t.limit+reserve
}
