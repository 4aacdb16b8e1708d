package apicache

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// retryAfter is what a refused caller is told to wait, in seconds.
const retryAfter = 1

// away is the refusal of what cannot be answered without a server.
func away(since time.Time, why string) *meta.Status {
	text := fmt.Sprintf("no API server has been in reach of this node since %s; %s", since.UTC().Format(time.RFC3339), why)
	status := apierrors.NewServiceUnavailable(text).ErrStatus
	status.Details = &meta.StatusDetails{RetryAfterSeconds: retryAfter}
	return &status
}

func notFound(q query) *meta.Status {
	status := apierrors.NewNotFound(schema.GroupResource{Group: q.group, Resource: q.resource}, q.name).ErrStatus
	return &status
}

// refuse answers with a Status, in the encoding that every client reads.
func refuse(r *http.Request, status *meta.Status) *http.Response {
	status.TypeMeta = meta.TypeMeta{APIVersion: "v1", Kind: "Status"}
	text, err := json.Marshal(status)
	if err != nil {
		text = []byte("{}") // a Status has nothing that could not be written
	}
	answer := respond(r, int(status.Code), typeStatus, text)
	if status.Code == http.StatusServiceUnavailable || status.Code == http.StatusTooManyRequests {
		answer.Header.Set("Retry-After", strconv.Itoa(retryAfter))
	}
	return answer
}

func respond(r *http.Request, code int, media string, text []byte) *http.Response {
	return &http.Response{
		Status: strconv.Itoa(code) + " " + http.StatusText(code), StatusCode: code,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:        http.Header{"Content-Type": {media}},
		Body:          io.NopCloser(bytes.NewReader(text)),
		ContentLength: int64(len(text)), Request: r,
	}
}

func mediaOf(f form) string {
	if f == protobuf {
		return typeProtobuf
	}
	return typeJSON
}

// give answers with one object in the encoding that is wanted.
func give(r *http.Request, q query, code int, o object) *http.Response {
	text, f, err := wanted(q, o)
	if err != nil {
		return broken(r, err)
	}
	return respond(r, code, mediaOf(f), text)
}

func wanted(q query, o object) ([]byte, form, error) {
	f := o.form
	if !slices.Contains(q.wants, f) && len(q.wants) > 0 {
		f = q.wants[0]
	}
	o, err := o.in(f)
	if err != nil {
		return nil, f, err
	}
	text, err := o.text()
	return text, f, err
}

func broken(r *http.Request, err error) *http.Response {
	status := apierrors.NewInternalError(fmt.Errorf("answer from what is remembered: %w", err)).ErrStatus
	return refuse(r, &status)
}

// read answers a GET that is no watch.
func (k *Cache) read(q query, r *http.Request, since time.Time) *http.Response {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case q.kind() == leases && q.name != "":
		if o, there := k.stayed[q.path]; there {
			return give(r, q, http.StatusOK, o)
		}
		return refuse(r, notFound(q))
	case !q.reads():
		return refuse(r, away(since, "this is not remembered"))
	case q.name != "":
		return k.one(q, r, since)
	}
	v := k.index.views[q.view()]
	if v == nil || v.version == "" {
		return refuse(r, away(since, "this list is not remembered"))
	}
	v.used, v.alone = time.Now().Unix(), true
	return k.list(v, q, r, disguise{k, q})
}

// list answers with what a view holds. mu is held.
func (k *Cache) list(v *view, q query, r *http.Request, through lens) *http.Response {
	l := list{APIVersion: v.apiVersion, Kind: v.kind, version: v.version}
	for _, at := range v.sorted() {
		o, seen, err := k.look(at, through)
		if err == nil && seen {
			o, err = o.in(q.wants[0])
		}
		if err != nil {
			return broken(r, err)
		}
		if seen {
			l.items = append(l.items, o)
		}
	}
	text, err := l.text(q.wants[0])
	if err != nil {
		return broken(r, err)
	}
	return respond(r, http.StatusOK, mediaOf(q.wants[0]), text)
}

func (v *view) sorted() []ref {
	refs := make([]ref, 0, len(v.members))
	for at := range v.members {
		refs = append(refs, at)
	}
	slices.SortFunc(refs, func(a, b ref) int { return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name)) })
	return refs
}

// one answers a GET of a single object. mu is held.
func (k *Cache) one(q query, r *http.Request, since time.Time) *http.Response {
	if at := q.ref(); k.sees(q.user, at) {
		o, _, err := k.look(at, disguise{k, q})
		if err != nil {
			return broken(r, err)
		}
		return give(r, q, http.StatusOK, o)
	}
	if k.lacks(q) {
		return refuse(r, notFound(q))
	}
	return refuse(r, away(since, "this object is not remembered"))
}

// sees says that a server has shown this object to this user. mu is held.
func (k *Cache) sees(user string, at ref) bool {
	for _, v := range k.index.views {
		if _, there := v.members[at]; there && v.key.User == user {
			return true
		}
	}
	return false
}

// lacks says that a whole list in which the object would be was seen by this user, and does not have it. mu is held.
func (k *Cache) lacks(q query) bool {
	return k.covering(q.alone(), func(user string) bool { return user == q.user }) != nil
}

// covering gives the view that has everything a list would have, and perhaps more: of some users' the one in use last, nil without one.
// Its version says less: after a restore, versions are lower than before. mu is held.
func (k *Cache) covering(q query, whose func(user string) bool) *view {
	var best *view
	for key, v := range k.index.views {
		whole := (key.Labels == "" || key.Labels == q.labels) && (key.Fields == q.fields || key.Fields == "" && ofEveryObject(q.fields))
		if v.of != q.kind() || v.version == "" || v.short || !whose(key.User) || !whole {
			continue
		}
		of := query{path: key.Path}
		of.parsePath()
		if of.name == "" && of.version == q.version && (of.namespace == "" || of.namespace == q.namespace) && (best == nil || v.fresher(best)) {
			best = v
		}
	}
	return best
}

func (v *view) fresher(than *view) bool {
	return v.used > than.used || v.used == than.used && newer(v.version, than.version)
}

// newer compares two resource versions, which are numbers.
func newer(a, b string) bool { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) > 0 }
