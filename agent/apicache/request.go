package apicache

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// query is what a request to the API asks for.
type query struct {
	user      string
	method    string
	path      string
	group     string
	version   string
	resource  string // plural; empty when the path is none of a resource
	namespace string
	name      string
	sub       string // subresource
	labels    string // selectors, as they were given
	fields    string
	watch     bool
	initial   bool // a watch that begins with all that there is
	bookmarks bool
	since     string // resource version
	further   bool   // another page of a list
	ends      time.Duration
	wants     []form // encodings, the preferred one first
}

// parse reads a request. Of a path that is not one of the API's resources, resource is empty.
func parse(r *http.Request, user string) query {
	q := query{user: user, method: r.Method, path: r.URL.Path, wants: acceptable(r.Header.Get("Accept"))}
	q.parsePath()
	values := r.URL.Query()
	q.labels, q.fields, q.since = values.Get("labelSelector"), values.Get("fieldSelector"), values.Get("resourceVersion")
	q.watch, q.initial, q.bookmarks = flag(values, "watch"), flag(values, "sendInitialEvents"), flag(values, "allowWatchBookmarks")
	q.further = values.Get("continue") != ""
	if seconds, err := strconv.Atoi(values.Get("timeoutSeconds")); err == nil && seconds > 0 {
		q.ends = time.Duration(seconds) * time.Second
	}
	return q
}

func flag(values url.Values, name string) bool {
	on, err := strconv.ParseBool(values.Get(name))
	return err == nil && on
}

// parsePath takes apart /api/v1/... and /apis/GROUP/VERSION/...
func (q *query) parsePath() {
	parts := strings.Split(strings.Trim(q.path, "/"), "/")
	switch {
	case len(parts) >= 3 && parts[0] == "api":
		q.version, parts = parts[1], parts[2:]
	case len(parts) >= 4 && parts[0] == "apis":
		q.group, q.version, parts = parts[1], parts[2], parts[3:]
	default:
		return
	}
	if parts[0] == "namespaces" && len(parts) > 2 {
		q.namespace, parts = parts[1], parts[2:]
	}
	q.resource = parts[0]
	if len(parts) > 1 {
		q.name = parts[1]
	}
	if len(parts) > 2 {
		q.sub = strings.Join(parts[2:], "/")
	}
}

// kind is the collection that a query is about.
func (q *query) kind() string { return q.group + "/" + q.resource }

// apiVersion is the group and version that it is about.
func (q *query) apiVersion() string {
	return schema.GroupVersion{Group: q.group, Version: q.version}.String()
}

// ref names the object that a query is about.
func (q *query) ref() ref { return ref{Kind: q.kind(), Namespace: q.namespace, Name: q.name} }

// byName begins the selector of one object.
const byName = "metadata.name="

// alone is the list that has nothing but the object that a query is about.
func (q query) alone() query {
	q.labels, q.fields = "", byName+q.name
	return q
}

// reads says that a query is one that the cache can record and answer.
func (q *query) reads() bool {
	return q.method == http.MethodGet && q.sub == "" && isKept(q.kind()) && len(q.wants) > 0
}

// view is the key of what a query is answered from.
func (q *query) view() viewKey {
	return viewKey{User: q.user, Path: q.path, Labels: q.labels, Fields: q.fields}
}

// isKept says which collections are recorded: what a node's components need to run its pods.
func isKept(kind string) bool {
	switch kind {
	case "/pods", "/nodes", "/configmaps", "/secrets", "/services", "/namespaces", "/serviceaccounts", "/persistentvolumes",
		"/persistentvolumeclaims", "discovery.k8s.io/endpointslices", "networking.k8s.io/networkpolicies", "networking.k8s.io/servicecidrs",
		"node.k8s.io/runtimeclasses", "storage.k8s.io/csidrivers", "storage.k8s.io/csinodes", "storage.k8s.io/storageclasses",
		"storage.k8s.io/volumeattachments":
		return true
	}
	return false
}

// form is how an object is written.
type form byte

const (
	jsonText form = 'j'
	protobuf form = 'p'
)

const (
	typeJSON     = "application/json"
	typeProtobuf = "application/vnd.kubernetes.protobuf"
	typeStatus   = typeJSON
)

// acceptable gives the encodings that an Accept header names and the cache knows, the preferred one first. Those that ask for
// something else than the objects themselves, as tables, are left out.
func acceptable(header string) []form {
	if header == "" {
		return []form{jsonText}
	}
	var wants []form
	for entry := range strings.SplitSeq(header, ",") {
		if f, ok := formOf(entry); ok {
			wants = append(wants, f)
		}
	}
	return wants
}

// formOf gives the encoding of a media type.
func formOf(text string) (form, bool) {
	media, parameters, _ := strings.Cut(text, ";")
	if strings.Contains(parameters, "as=") {
		return 0, false
	}
	switch strings.TrimSpace(media) {
	case typeJSON, "*/*", "application/*":
		return jsonText, true
	case typeProtobuf:
		return protobuf, true
	}
	return 0, false
}
