package apicache

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
)

const (
	nodes  = "/nodes"
	pods   = "/pods"
	leases = "coordination.k8s.io/leases"
	// leasesOfNodes is where a node says that it lives.
	leasesOfNodes = "kube-node-lease"
	// maxBody bounds what is read of a request, in bytes, as servers do.
	maxBody = 3 << 20
)

// write answers what would change something: what this node alone says of itself and of its pods is believed, the rest is
// refused.
func (k *Cache) write(q query, r *http.Request, since time.Time) *http.Response {
	body, err := bodyOf(r)
	if err != nil {
		status := apierrors.NewBadRequest("read the request: " + err.Error()).ErrStatus
		return refuse(r, &status)
	}
	switch kind := q.kind(); {
	case strings.HasSuffix(kind, "/events") && q.method == http.MethodPost:
		return k.event(q, r, body)
	case strings.HasSuffix(kind, "/events") && q.method == http.MethodPatch:
		return refuse(r, notFound(q)) // its sender then makes a new one
	case kind == leases && q.namespace == leasesOfNodes && (q.method == http.MethodPost || q.method == http.MethodPut):
		return k.lease(q, r, body)
	case kind == nodes && q.method == http.MethodPost:
		return k.register(q, r, since)
	case (kind == nodes && q.name == k.config.Node || kind == pods) && q.sub == "status" && (q.method == http.MethodPatch || q.method == http.MethodPut):
		return k.status(q, r, body, since)
	case kind == pods && q.sub == "" && q.method == http.MethodDelete:
		return k.remove(q, r, since)
	case kind == "/serviceaccounts" && q.sub == "token" && q.method == http.MethodPost:
		return k.token(q, r, body, since)
	}
	return refuse(r, away(since, "nothing can be changed meanwhile"))
}

func bodyOf(r *http.Request) ([]byte, error) {
	if r.Body == nil {
		return nil, nil
	}
	text, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err == nil && len(text) > maxBody {
		err = errors.New("it is too large")
	}
	return text, err
}

// echo answers with what was written, as a server does that changes nothing of it.
func echo(r *http.Request, q query, code int, body []byte) (*http.Response, object) {
	f, known := formOf(r.Header.Get("Content-Type"))
	if !known {
		f = jsonText
	}
	o, err := readObject(f, body)
	if err != nil {
		status := apierrors.NewBadRequest("read the object: " + err.Error()).ErrStatus
		return refuse(r, &status), o
	}
	return give(r, q, code, o), o
}

// event takes an Event that nobody will see: there is no place to keep it, and its time is over when a server is back.
func (k *Cache) event(q query, r *http.Request, body []byte) *http.Response {
	k.mu.Lock()
	k.dropped++
	k.mu.Unlock()
	answer, _ := echo(r, q, http.StatusCreated, body)
	return answer
}

// lease takes a sign of life.
func (k *Cache) lease(q query, r *http.Request, body []byte) *http.Response {
	code, path := http.StatusOK, q.path
	if q.method == http.MethodPost {
		code = http.StatusCreated
	}
	answer, o := echo(r, q, code, body)
	if answer.StatusCode != code {
		return answer
	}
	if q.method == http.MethodPost {
		path += "/" + o.meta.Name
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.stayed) < maxLeases {
		k.stayed[path] = o
	}
	return answer
}

// maxLeases bounds what is kept in memory; a node has one.
const maxLeases = 8

// register answers a kubelet that wants to make its Node.
func (k *Cache) register(q query, r *http.Request, since time.Time) *http.Response {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.sees(q.user, ref{Kind: nodes, Name: k.config.Node}) {
		return refuse(r, away(since, "this node's Node is not remembered"))
	}
	status := apierrors.NewAlreadyExists(schema.GroupResource{Resource: q.resource}, k.config.Node).ErrStatus
	return refuse(r, &status)
}

// status merges what the kubelet says into what a server said last. Servers hear it again when they are back: the kubelet
// compares what they have with what it knows.
func (k *Cache) status(q query, r *http.Request, body []byte, since time.Time) *http.Response {
	k.mu.Lock()
	defer k.mu.Unlock()
	at := q.ref()
	if !k.sees(q.user, at) {
		if k.lacks(q) {
			return refuse(r, notFound(q))
		}
		return refuse(r, away(since, "this object is not remembered"))
	}
	before, err := k.get(at)
	if err != nil {
		return broken(r, err)
	}
	now, err := merge(before, body, r.Header.Get("Content-Type"))
	if err != nil {
		status := apierrors.NewBadRequest(err.Error()).ErrStatus
		return refuse(r, &status)
	}
	k.index.put(at, now, true)
	k.tell(at, nil)
	if pod, ok := k.podOf(at, now); ok {
		k.followPod(pod)
	}
	k.changed()
	return give(r, q, http.StatusOK, now)
}

// remove takes that the kubelet has ended a pod that was to be deleted. A server that has it still tells the kubelet so when it
// is back, and hears it again.
func (k *Cache) remove(q query, r *http.Request, since time.Time) *http.Response {
	k.mu.Lock()
	defer k.mu.Unlock()
	at := q.ref()
	o, err := k.get(at)
	if err != nil || !k.sees(q.user, at) {
		return refuse(r, away(since, "this object is not remembered"))
	}
	if pod, ok := k.podOf(at, o); !ok || pod.DeletionTimestamp == nil {
		return refuse(r, away(since, "nothing can be deleted meanwhile"))
	}
	k.tell(at, &o)
	for _, v := range k.index.views {
		k.index.leave(v, at)
	}
	k.changed()
	return give(r, q, http.StatusOK, o)
}

// merge gives the object with another status.
func merge(before object, body []byte, media string) (object, error) {
	old, err := typed(before)
	if err != nil {
		return object{}, err
	}
	var next runtime.Object
	switch types.PatchType(media) {
	case types.StrategicMergePatchType, types.MergePatchType:
		next, err = patched(old, body, types.PatchType(media))
	default:
		next, err = decode(body)
	}
	if err != nil {
		return object{}, fmt.Errorf("read the new status: %w", err)
	}
	switch is := old.(type) {
	case *core.Pod:
		said, ok := next.(*core.Pod)
		if !ok || said.UID != "" && said.UID != is.UID {
			return object{}, errors.New("the status is of another pod")
		}
		is.Status = said.Status
	case *core.Node:
		said, ok := next.(*core.Node)
		if !ok {
			return object{}, errors.New("this is no Node")
		}
		is.Status, is.Labels, is.Annotations = said.Status, said.Labels, said.Annotations
	default:
		return object{}, fmt.Errorf("the status of a %s is a server's to keep", before.Kind)
	}
	return encoded(before.form, before.APIVersion, before.Kind, old)
}

// patched applies a patch to a copy.
func patched(old runtime.Object, patch []byte, how types.PatchType) (runtime.Object, error) {
	text, err := json.Marshal(old)
	if err != nil {
		return nil, err
	}
	next := old.DeepCopyObject()
	if how == types.MergePatchType {
		text, err = jsonpatch.MergePatch(text, patch)
	} else {
		text, err = strategicpatch.StrategicMergePatch(text, patch, next)
	}
	if err != nil {
		return nil, err
	}
	switch old.(type) {
	case *core.Pod:
		next = &core.Pod{}
	case *core.Node:
		next = &core.Node{}
	}
	return next, json.Unmarshal(text, next)
}

// material is what of a Node is worth writing: the rest, heartbeats above all, is said again and again.
func material(o object) ([]byte, error) {
	from, err := typed(o)
	if err != nil {
		return nil, err
	}
	node, ok := from.(*core.Node)
	if !ok {
		return nil, errForm
	}
	node.ResourceVersion, node.ManagedFields = "", nil
	node.Status = core.NodeStatus{Addresses: node.Status.Addresses, Allocatable: node.Status.Allocatable, Capacity: node.Status.Capacity}
	return json.Marshal(node)
}
