package apicache

import (
	"context"
	"io"
	"net/http"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// listener is a watch that is answered by the node itself. Cache.mu guards it.
type listener struct {
	wake chan struct{} // holds one entry when there is something in news
	news []change      // by this node
}

// change is one that this node makes.
type change struct {
	at   ref
	gone *object // as it was last, when it is no more
}

// tell has every such watch that shows an object hear of its change. mu is held.
func (k *Cache) tell(at ref, gone *object) {
	if k.listening == 0 {
		return
	}
	for _, v := range k.index.views {
		if _, there := v.members[at]; !there {
			continue
		}
		for l := range v.listeners {
			if c := (change{at, gone}); !slices.Contains(l.news, c) {
				l.news = append(l.news, c)
			}
			select {
			case l.wake <- struct{}{}:
			default: // it was told already
			}
		}
	}
}

// watch answers a watch. It stays open until a server is back, and then ends such that its caller lists again.
func (k *Cache) watch(q query, r *http.Request, since time.Time, back <-chan struct{}) *http.Response {
	k.mu.Lock()
	defer k.mu.Unlock()
	v := k.index.views[q.view()]
	if !q.reads() || v == nil || v.version == "" {
		return refuse(r, away(since, "this list is not remembered"))
	}
	v.alone = true
	return k.listen(v, q, r, back, disguise{k, q})
}

// misled says that a watch of a server would go on from what the node told without one: the server would never say that this is over.
func (k *Cache) misled(q query) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	v := k.index.views[q.view()]
	return q.watch && !q.initial && q.since != "" && v != nil && v.alone
}

// corrected notes that a server tells the caller all of a view.
func (k *Cache) corrected(q query) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if v := k.index.views[q.view()]; v != nil {
		v.alone = false
	}
}

// listen answers a watch of what a view holds. mu is held.
func (k *Cache) listen(v *view, q query, r *http.Request, back <-chan struct{}, through lens) *http.Response {
	w := &watching{cache: k, query: q, view: v, lens: through, form: q.wants[0], back: back, ctx: r.Context(),
		listener: &listener{wake: make(chan struct{}, 1)}, closed: make(chan struct{})}
	if q.ends > 0 {
		w.ends = time.NewTimer(q.ends)
	}
	if err := w.begin(); err != nil {
		return broken(r, err)
	}
	v.listeners[w.listener] = struct{}{}
	k.listening++
	answer := respond(r, http.StatusOK, mediaOf(w.form)+watchSuffix(w.form), nil)
	answer.Body, answer.ContentLength = w, -1
	return answer
}

func watchSuffix(f form) string {
	if f == protobuf {
		return ";stream=watch"
	}
	return ""
}

// watching is the body of an answer to a watch. Its owner reads in one goroutine and closes it from any.
type watching struct {
	cache    *Cache
	query    query
	view     *view
	lens     lens
	form     form
	back     <-chan struct{}
	ctx      context.Context
	ends     *time.Timer
	listener *listener
	closed   chan struct{}
	text     []byte // that was not read yet
	over     bool
}

// begin writes what the watch starts with: everything, or what this node alone knows. mu is held.
func (w *watching) begin() error {
	all := w.query.initial || w.query.since == "" || w.query.since == "0"
	for _, at := range w.view.sorted() {
		kind := added
		if !all {
			if kind = modified; !w.cache.index.entries[at].local && !w.lens.alters(at) {
				continue
			}
		}
		if err := w.say(kind, at); err != nil {
			return err
		}
	}
	if !w.query.initial {
		return nil
	}
	o, err := bookmark(w.form, w.view.apiVersion, itemKind(w.view.kind), w.view.version, true)
	if err != nil {
		return err
	}
	return w.write(marked, o)
}

// say writes an event about an object. mu is held.
func (w *watching) say(kind string, at ref) error {
	o, seen, err := w.cache.look(at, w.lens)
	if err != nil || !seen {
		return err
	}
	if o, err = o.in(w.form); err != nil {
		return err
	}
	return w.write(kind, o)
}

func (w *watching) write(kind string, o object) error {
	text, err := eventText(kind, o)
	w.text = append(w.text, text...)
	return err
}

// Read gives events as they happen.
func (w *watching) Read(p []byte) (int, error) {
	for len(w.text) == 0 {
		if w.over {
			return 0, io.EOF
		}
		if err := w.wait(); err != nil {
			return 0, err
		}
	}
	n := copy(p, w.text)
	if w.text = w.text[n:]; len(w.text) == 0 {
		w.text = nil
	}
	return n, nil
}

// wait returns when there is something to read, or when the watch is over.
func (w *watching) wait() error {
	var ends <-chan time.Time
	if w.ends != nil {
		ends = w.ends.C
	}
	select {
	case <-w.listener.wake:
		return w.hear()
	case <-w.back:
		w.over = true
		return w.expire()
	case <-ends:
		w.over = true
		select {
		case <-w.back:
			return w.expire()
		default: // it may go on from here
		}
	case <-w.ctx.Done():
		w.over = true
	case <-w.closed:
		return io.ErrClosedPipe
	}
	return nil
}

func (w *watching) hear() error {
	w.cache.mu.Lock()
	defer w.cache.mu.Unlock()
	news := w.listener.news
	w.listener.news = nil
	for _, c := range news {
		var err error
		switch {
		case c.gone != nil:
			err = w.end(c.at, *c.gone)
		case w.cache.index.entries[c.at] != nil:
			err = w.say(modified, c.at)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// end writes that an object is no more.
func (w *watching) end(at ref, o object) error {
	o, seen, err := w.lens.show(at, o)
	if err != nil || !seen {
		return err
	}
	if o, err = o.in(w.form); err != nil {
		return err
	}
	return w.write(deleted, o)
}

// expire tells the caller to list again: what it has heard here, a server does not know of.
func (w *watching) expire() error {
	status := apierrors.NewResourceExpired("an API server is in reach again").ErrStatus
	status.TypeMeta = meta.TypeMeta{APIVersion: "v1", Kind: "Status"}
	o, err := encoded(w.form, "v1", "Status", &status)
	if err != nil {
		return err
	}
	return w.write(failed, o)
}

// Close ends the watch.
func (w *watching) Close() error {
	w.cache.mu.Lock()
	defer w.cache.mu.Unlock()
	if _, open := w.view.listeners[w.listener]; open {
		delete(w.view.listeners, w.listener)
		w.cache.listening--
		close(w.closed)
	}
	if w.ends != nil {
		w.ends.Stop()
	}
	return nil
}
