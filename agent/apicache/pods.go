package apicache

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/skerry-io/skerry/agent/podrights"
	"github.com/skerry-io/skerry/internal/wire"
)

const (
	// maxReads and maxWatches bound what pods ask at a time: the node's own components are not to wait for them, nor its memory to be theirs.
	maxReads, maxWatches = 16, 128
)

// pod answers a pod, unless pods ask too much.
func (k *Cache) pod(q query, r *http.Request, since time.Time, back <-chan struct{}) *http.Response {
	asking := k.reads
	if q.watch {
		asking = k.watches
	}
	select {
	case asking <- struct{}{}:
	default:
		status := apierrors.NewTooManyRequests("this node's pods ask it too much at a time while no API server is in reach", retryAfter).ErrStatus
		return refuse(r, &status)
	}
	done := sync.OnceFunc(func() { <-asking })
	answer := k.reading(q, r, since, back)
	if answer.StatusCode != http.StatusOK {
		done() // what is read of a refusal is small
		return answer
	}
	answer.Body = &taken{answer.Body, done}
	return answer
}

// taken is an answer that counts until it is closed.
type taken struct {
	io.ReadCloser
	done func()
}

// Close ends it.
func (a *taken) Close() error {
	a.done()
	return a.ReadCloser.Close()
}

// reading answers with what servers told any of the node's components, as far as the pod's own roles let it read that.
func (k *Cache) reading(q query, r *http.Request, since time.Time, back <-chan struct{}) *http.Response {
	if q.resource == "" || k.config.Rights == nil {
		return refuse(r, away(since, "this is not remembered"))
	}
	if impersonates(r) {
		return refuse(r, away(since, "only a server can say what others may do in whose name this is asked"))
	}
	k.settle()
	user, err := k.who(r)
	k.mu.Lock()
	defer k.mu.Unlock()
	if err == nil && user.Pod != "" {
		err = k.lives(user)
	}
	if errors.Is(err, podrights.ErrUnknown) {
		return refuse(r, away(since, err.Error()))
	}
	if err != nil {
		status := apierrors.NewUnauthorized(err.Error()).ErrStatus
		return refuse(r, &status)
	}
	if q.method != http.MethodGet {
		return refuse(r, away(since, "nothing can be changed meanwhile"))
	}
	ask := q.ask()
	if !k.config.Rights.Known(user) {
		return refuse(r, away(since, "the rights of "+user.Name+" were not told here"))
	}
	if !k.config.Rights.May(user, ask) {
		return refuse(r, forbidden(user, ask))
	}
	chosen, err := q.selection()
	switch {
	case err != nil:
		status := apierrors.NewBadRequest(err.Error()).ErrStatus
		return refuse(r, &status)
	case !q.reads() || q.watch && q.name != "":
		return refuse(r, away(since, "this is not remembered"))
	case q.name != "":
		return k.shared(q, r, since)
	}
	v := k.covering(q, everybody)
	switch {
	case v == nil:
		return refuse(r, away(since, "this list is not remembered"))
	case q.further:
		return refuse(r, expired("the list has to begin anew"))
	case !q.watch && q.since != "" && newer(q.since, v.version):
		return refuse(r, away(since, "nothing that new is remembered"))
	case !q.watch:
		return k.list(v, q, r, chosen)
	case !q.initial && q.since != "" && q.since != "0" && newer(v.version, q.since):
		return refuse(r, expired("what has happened since is not remembered"))
	}
	return k.listen(v, q, r, back, chosen)
}

// impersonates says that a request is made in the name of another than whose token it shows.
func impersonates(r *http.Request) bool {
	for name := range r.Header {
		if strings.HasPrefix(name, "Impersonate-") {
			return true
		}
	}
	return false
}

// who says who a request is from.
func (k *Cache) who(r *http.Request) (podrights.User, error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return podrights.User{}, errors.New("no token was shown")
	}
	return k.config.Rights.Who(strings.TrimSpace(token))
}

// lives wants a token that is for one pod to be for one that this node has. mu is held.
func (k *Cache) lives(user podrights.User) error {
	own, at := k.own(), ref{Kind: pods, Namespace: user.Namespace, Name: user.Pod}
	if own == nil {
		return fmt.Errorf("%w: this node was not told its pods", podrights.ErrUnknown)
	}
	_, there := own.members[at]
	if there {
		o, err := k.get(at)
		if err != nil {
			return err
		}
		if pod, ok := k.podOf(at, o); ok && string(pod.UID) == user.PodUID && (pod.DeletionTimestamp == nil || time.Since(pod.DeletionTimestamp.Time) < ending) {
			return nil
		}
	}
	if !there && own.short {
		return fmt.Errorf("%w: this node keeps not all of its pods", podrights.ErrUnknown)
	}
	return fmt.Errorf("the token is for the pod %s/%s, which this node does not have", user.Namespace, user.Pod)
}

// ending is how long a pod's token counts after the pod should have ended, as in Kubernetes.
const ending = time.Minute

// own gives this node's pods as the kubelet lists them, nil when none were told. mu is held.
func (k *Cache) own() *view {
	v := k.index.views[viewKey{User: wire.NodeUser + k.config.Node, Path: "/api/v1/pods", Fields: "spec.nodeName=" + k.config.Node}]
	if v == nil || v.version == "" {
		return nil
	}
	return v
}

// shared answers with one object that a server has shown to anyone of this node. mu is held.
func (k *Cache) shared(q query, r *http.Request, since time.Time) *http.Response {
	at := q.ref()
	o, err := k.get(at)
	switch {
	case err == nil && o.APIVersion == q.apiVersion():
		return give(r, q, http.StatusOK, o)
	case err != nil && !errors.Is(err, errUnknown):
		return broken(r, err)
	case err != nil && k.covering(q.alone(), everybody) != nil:
		return refuse(r, notFound(q))
	}
	return refuse(r, away(since, "this object is not remembered"))
}

func everybody(string) bool { return true }

// ask is the query as roles judge it.
func (q *query) ask() podrights.Ask {
	a := podrights.Ask{Verb: "get", Group: q.group, Resource: q.resource, Subresource: q.sub, Namespace: q.namespace, Name: q.name}
	switch {
	case q.watch:
		a.Verb = "watch"
	case q.name == "":
		a.Verb = "list"
	}
	if chosen, err := fields.ParseSelector(q.fields); err == nil && q.name == "" {
		a.Name, _ = chosen.RequiresExactMatch(fieldName)
	}
	if q.kind() == "/namespaces" { // each is in itself
		a.Namespace = q.name
	}
	return a
}

func forbidden(u podrights.User, a podrights.Ask) *meta.Status {
	why := fmt.Errorf("by what servers said last, %s cannot %s it in namespace %q", u.Name, a.Verb, a.Namespace)
	resource := a.Resource
	if a.Subresource != "" {
		resource += "/" + a.Subresource
	}
	status := apierrors.NewForbidden(schema.GroupResource{Group: a.Group, Resource: resource}, a.Name, why).ErrStatus
	return &status
}

func expired(why string) *meta.Status {
	status := apierrors.NewResourceExpired(why).ErrStatus
	return &status
}
