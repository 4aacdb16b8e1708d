package apicache

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"
)

// maxAnswer bounds a list that is recorded, in bytes.
const maxAnswer = 32 << 20

// record looks on while an answer passes by.
func (k *Cache) record(q query, answer *http.Response) {
	f, known := formOf(answer.Header.Get("Content-Type"))
	if made, ok := q.made(answer); ok {
		q = made
	} else if answer.StatusCode == http.StatusCreated {
		return
	}
	if !q.reads() {
		return
	}
	if answer.StatusCode == http.StatusForbidden || answer.StatusCode == http.StatusNotFound && q.name != "" {
		k.lost(q)
		return
	}
	if answer.StatusCode == http.StatusOK && (!q.watch || q.initial) {
		k.corrected(q)
	}
	if !known || answer.StatusCode != http.StatusOK && answer.StatusCode != http.StatusCreated {
		return
	}
	if q.watch {
		answer.Body = k.follow(q, f, answer.Body)
		return
	}
	zipped, created := answer.Header.Get("Content-Encoding") == "gzip", answer.StatusCode == http.StatusCreated
	answer.Body = &collector{ReadCloser: answer.Body, done: func(text []byte) { k.answered(q, f, zipped, created, text) }}
}

// made turns a write of the node's CSINode into the question that its answer would answer, too: the kubelet asks for it at
// its start only, when it may be older.
func (q query) made(answer *http.Response) (query, bool) {
	if q.kind() != "storage.k8s.io/csinodes" || q.method == http.MethodGet || q.method == http.MethodDelete || answer.StatusCode >= http.StatusMultipleChoices {
		return q, false
	}
	q.method = http.MethodGet
	return q, true
}

// collector holds what passes until the end.
type collector struct {
	io.ReadCloser
	text bytes.Buffer
	done func([]byte)
}

// Read passes on, and hands all over at the end.
func (c *collector) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	if c.done == nil {
		return n, err
	}
	if c.text.Len()+n > maxAnswer {
		c.done, c.text = nil, bytes.Buffer{}
		return n, err
	}
	c.text.Write(p[:n])
	if errors.Is(err, io.EOF) {
		done := c.done
		c.done = nil
		done(c.text.Bytes())
		c.text = bytes.Buffer{}
	}
	return n, err
}

func unzip(text []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(r, maxAnswer))
}

// answered takes a whole answer.
func (k *Cache) answered(q query, f form, zipped, created bool, text []byte) {
	var err error
	if zipped {
		if text, err = unzip(text); err != nil {
			return
		}
	}
	if q.name != "" || created {
		o, err := readObject(f, text)
		if created {
			q.name, q.path = o.meta.Name, q.path+"/"+o.meta.Name
		}
		if err == nil && o.meta.Name != "" && o.meta.Name == q.name {
			k.single(q, o)
		}
		return
	}
	if l, err := readList(f, text); err == nil && strings.HasSuffix(l.Kind, "List") {
		k.listed(q, l)
	}
}

// lost forgets what a server does not have, or does not tell this user any more.
func (k *Cache) lost(q query) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if v := k.index.views[q.view()]; v != nil && v.watches == 0 && len(v.listeners) == 0 {
		k.index.forget(v)
		k.changed()
	}
}

// single takes one object that was asked for by its name.
func (k *Cache) single(q query, o object) {
	k.mu.Lock()
	defer k.mu.Unlock()
	v := k.open(q, o.APIVersion, o.Kind)
	at := refOf(q.kind(), o)
	if k.take(at, o, &v.short) {
		k.index.join(v, at)
	}
	k.changed()
}

func refOf(kind string, o object) ref {
	return ref{Kind: kind, Namespace: o.meta.Namespace, Name: o.meta.Name}
}

// open gives the view of a query. mu is held.
func (k *Cache) open(q query, apiVersion, kind string) *view {
	v := k.index.view(q.view(), q.kind())
	v.used = time.Now().Unix()
	if v.kind != kind || v.apiVersion != apiVersion {
		v.apiVersion, v.kind = apiVersion, kind
		k.index.describe(v)
	}
	return v
}

// networkPolicies are rare, and a node that is killed and starts alone must not let through what it did not before.
const networkPolicies = "networking.k8s.io/networkpolicies"

// take puts an object that a server sent, unless there is no room: then what it is for is short of it. This node's own pods are taken
// whether there is or not: the kubelet ends those that it is not told of. mu is held.
func (k *Cache) take(at ref, o object, short *bool) bool {
	if k.index.live+int64(len(o.body)) > limit && !k.runsHere(at, o) {
		*short = true
		if !k.full {
			k.full = true
			k.config.Log.Warn("this node needs more of the cluster than it keeps for a start without servers; what is beyond is not kept",
				"limit", limit, "object", at)
		}
		return k.index.entries[at] != nil
	}
	if k.index.put(at, o, false) {
		if at.Kind == networkPolicies {
			k.hurried()
		}
		k.tell(at, nil)
	}
	return true
}

// runsHere says that an object is a pod of this node.
func (k *Cache) runsHere(at ref, o object) bool {
	pod, ok := k.podOf(at, o)
	return ok && pod.Spec.NodeName == k.config.Node
}

// listed takes a list, or a page of one.
func (k *Cache) listed(q query, l list) {
	k.mu.Lock()
	defer k.mu.Unlock()
	v := k.open(q, l.APIVersion, l.Kind)
	if !q.further || v.next == nil {
		k.index.give(v.next)
		v.next = newBundle()
	}
	for _, o := range l.items {
		if at := refOf(q.kind(), o); k.take(at, o, &v.next.short) {
			k.index.hold(v.next, at)
		}
	}
	if !l.more {
		k.complete(v, v.next, l.version)
		v.next = nil
	}
	k.changed()
}

// complete ends a list. mu is held.
func (k *Cache) complete(v *view, b *bundle, version string) {
	if v.of == endpointSlices {
		k.rebooted = false // what a server says of them by now is as good as with any Kubernetes
	}
	fresh := v.version == "" || v.short != b.short
	v.version, v.short = version, b.short
	k.index.replace(v, b)
	if fresh || k.index.dirty() {
		k.index.describe(v)
	}
}

// follow records a watch while it passes.
func (k *Cache) follow(q query, f form, body io.ReadCloser) io.ReadCloser {
	w := &following{ReadCloser: body, cache: k, query: q, stream: stream{form: f}}
	k.mu.Lock()
	defer k.mu.Unlock()
	if q.initial {
		w.next = newBundle()
	}
	if v := k.index.views[q.view()]; v != nil {
		v.watches++
		w.view = v
	}
	return w
}

// following is a watch under way.
type following struct {
	io.ReadCloser
	cache  *Cache
	query  query
	stream stream
	view   *view
	next   *bundle // of what the watch begins with, until that is complete
}

// Read passes on and looks on.
func (w *following) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	if n > 0 {
		w.cache.mu.Lock()
		w.stream.feed(p[:n], w.event)
		w.cache.changed()
		w.cache.mu.Unlock()
	}
	return n, err
}

// Close ends it.
func (w *following) Close() error {
	w.cache.mu.Lock()
	if w.view != nil {
		w.view.watches--
		w.view.used = time.Now().Unix()
		w.view = nil
	}
	w.cache.index.give(w.next)
	w.cache.mu.Unlock()
	return w.ReadCloser.Close()
}

// event takes one event. mu is held.
func (w *following) event(kind string, o object) {
	k := w.cache
	at := refOf(w.query.kind(), o)
	switch {
	case kind == marked && o.meta.initial && w.next != nil:
		w.begun(o)
	case kind == marked && w.view != nil:
		w.view.version = o.meta.Version
	case (kind == added || kind == modified) && w.next != nil:
		if k.take(at, o, &w.next.short) {
			k.index.hold(w.next, at)
		}
	case w.view == nil: // a watch of what was never listed
	case kind == added || kind == modified:
		was := w.view.short
		if w.view.version = o.meta.Version; k.take(at, o, &w.view.short) {
			k.index.join(w.view, at)
		}
		if w.view.short != was {
			k.index.describe(w.view)
		}
	case kind == deleted:
		w.view.version = o.meta.Version
		k.index.gone(w.view, at, o.meta.UID)
	}
}

// begun ends what a watch begins with.
func (w *following) begun(o object) {
	v := w.cache.open(w.query, o.APIVersion, o.Kind+"List")
	if w.view == nil {
		w.view = v
		v.watches++
	}
	w.cache.complete(v, w.next, o.meta.Version)
	w.next = nil
}
