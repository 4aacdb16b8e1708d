package manifests

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// cluster is an API server in memory: as much of one as the Keeper talks to. Applying replaces.
type cluster struct {
	url string

	mu      sync.Mutex // guards what follows
	version int
	objects map[string]*unstructured.Unstructured // by path
	kinds   map[string][]meta.APIResource         // by group and version
	calls   []string                              // all but reads of records
	refuse  func(method, path string) *meta.Status
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	verbs := meta.Verbs{"get", "patch", "delete"}
	c := &cluster{objects: map[string]*unstructured.Unstructured{}, kinds: map[string][]meta.APIResource{
		"v1": {{Name: "namespaces", Kind: "Namespace", Verbs: verbs}, {Name: "configmaps", Kind: "ConfigMap", Namespaced: true, Verbs: verbs},
			{Name: "secrets", Kind: "Secret", Namespaced: true, Verbs: verbs}, {Name: "bindings", Kind: "Binding", Namespaced: true, Verbs: meta.Verbs{"create"}}},
		"apiextensions.k8s.io/v1": {{Name: "customresourcedefinitions", Kind: "CustomResourceDefinition", Verbs: verbs}},
	}}
	for _, ns := range []string{"default", "kube-system"} {
		c.put("/api/v1/namespaces/"+ns, map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": ns}})
	}
	server := httptest.NewServer(http.HandlerFunc(c.serve))
	t.Cleanup(server.Close)
	c.url = server.URL
	return c
}

func (c *cluster) clients(t *testing.T) Clients {
	t.Helper()
	config := &rest.Config{Host: c.url, QPS: -1, ContentConfig: rest.ContentConfig{ContentType: "application/json"}}
	core, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	dyn, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return Clients{core, dyn}
}

func (c *cluster) put(path string, content map[string]any) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: content}
	old := c.objects[path]
	if old != nil {
		u.SetUID(old.GetUID())
		u.SetDeletionTimestamp(old.GetDeletionTimestamp())
		u.SetResourceVersion(old.GetResourceVersion())
		if reflect.DeepEqual(u, old) {
			return old
		}
	} else {
		u.SetUID("uid-of-" + meta.ObjectMeta{}.UID)
	}
	c.version++
	u.SetResourceVersion(fmt.Sprint(c.version))
	c.objects[path] = u
	return u
}

func status(code int, reason meta.StatusReason, message string) *meta.Status {
	return &meta.Status{TypeMeta: meta.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: meta.StatusFailure, Code: int32(code), Reason: reason, Message: message}
}

func (c *cluster) serve(w http.ResponseWriter, q *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var body map[string]any
	_ = json.NewDecoder(q.Body).Decode(&body)
	answer := c.answer(q, body)
	w.Header().Set("Content-Type", "application/json")
	if s, failed := answer.(*meta.Status); failed {
		w.WriteHeader(int(s.Code))
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func (c *cluster) answer(q *http.Request, body map[string]any) any {
	path := q.URL.Path
	if q.Method != http.MethodGet || !strings.HasSuffix(path, "/configmaps") {
		c.calls = append(c.calls, q.Method+" "+path)
	}
	if c.refuse != nil {
		if s := c.refuse(q.Method, path); s != nil {
			return s
		}
	}
	version := strings.TrimPrefix(strings.TrimPrefix(path, "/apis/"), "/api/")
	if list, found := c.kinds[version]; found {
		return meta.APIResourceList{TypeMeta: meta.TypeMeta{APIVersion: "v1", Kind: "APIResourceList"}, GroupVersion: version, APIResources: list}
	}
	switch q.Method {
	case http.MethodPost:
		u := unstructured.Unstructured{Object: body}
		if u.GetName() == "" {
			u.SetName(u.GetGenerateName() + fmt.Sprint(c.version))
		}
		return c.put(path+"/"+u.GetName(), body)
	case http.MethodPatch:
		return c.apply(path, body)
	case http.MethodGet:
		if strings.HasSuffix(path, "/configmaps") {
			return c.list(path)
		}
	}
	now := c.objects[path]
	switch {
	case now == nil:
		return status(404, meta.StatusReasonNotFound, path+" not found")
	case q.Method == http.MethodPut:
		return c.put(path, body)
	case q.Method == http.MethodDelete:
		return c.remove(path, body)
	}
	return now
}

func (c *cluster) list(path string) any {
	list := unstructured.UnstructuredList{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMapList"}}
	for at, u := range c.objects {
		if _, record := u.GetLabels()[serverLabel]; record && strings.HasPrefix(at, path+"/") {
			list.Items = append(list.Items, *u)
		}
	}
	return list.UnstructuredContent()
}

func (c *cluster) remove(path string, body map[string]any) any {
	want, _, _ := unstructured.NestedString(body, "preconditions", "resourceVersion")
	if want != "" && want != c.objects[path].GetResourceVersion() {
		return status(409, meta.StatusReasonConflict, "it changed")
	}
	delete(c.objects, path)
	return meta.Status{TypeMeta: meta.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: meta.StatusSuccess}
}

func (c *cluster) apply(path string, body map[string]any) any {
	if rest, found := strings.CutPrefix(path, "/api/v1/namespaces/"); found && strings.Contains(rest, "/") {
		if ns, _, _ := strings.Cut(rest, "/"); c.objects["/api/v1/namespaces/"+ns] == nil {
			return status(404, meta.StatusReasonNotFound, fmt.Sprintf("namespaces %q not found", ns))
		}
	}
	u := unstructured.Unstructured{Object: body}
	if u.GetKind() == "CustomResourceDefinition" {
		group, _, _ := unstructured.NestedString(body, "spec", "group")
		kind, _, _ := unstructured.NestedString(body, "spec", "names", "kind")
		plural, _, _ := unstructured.NestedString(body, "spec", "names", "plural")
		c.kinds[group+"/v1"] = []meta.APIResource{{Name: plural, Kind: kind, Verbs: meta.Verbs{"patch"}}}
	}
	if wrong, _, _ := unstructured.NestedString(body, "data", "wrong"); wrong != "" {
		return status(422, meta.StatusReasonInvalid, "data.wrong: Invalid value: "+wrong)
	}
	if unknown, found := body["dta"]; found {
		return status(500, "", fmt.Sprintf("failed to create typed patch object: .dta: field not declared in schema: %v", unknown))
	}
	return c.put(path, body)
}

// data is what a ConfigMap of the namespace default says under "v", "" when there is none.
func (c *cluster) data(name string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	u := c.objects[configMap(name)]
	if u == nil {
		return ""
	}
	v, _, _ := unstructured.NestedString(u.Object, "data", "v")
	return v
}

func configMap(name string) string { return "/api/v1/namespaces/default/configmaps/" + name }

func (c *cluster) has(path string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.objects[path] != nil
}

// change does something to an object, or to all there is.
func (c *cluster) change(path string, do func(*unstructured.Unstructured)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	do(c.objects[path])
	c.version++
	c.objects[path].SetResourceVersion(fmt.Sprint(c.version))
}

func (c *cluster) refuseWhen(refuse func(method, path string) *meta.Status) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refuse = refuse
}

// called gives the calls with this beginning since the last forget.
func (c *cluster) called(prefix string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(c.calls), func(call string) bool { return !strings.HasPrefix(call, prefix) })
}

func (c *cluster) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls = nil
}

// events gives the messages of Events by reason.
func (c *cluster) events() map[string][]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := map[string][]string{}
	for _, path := range slices.Sorted(maps.Keys(c.objects)) {
		if u := c.objects[path]; u.GetKind() == "Event" || strings.Contains(path, "/events/") {
			var e core.Event
			text, _ := u.MarshalJSON()
			_ = json.Unmarshal(text, &e)
			all[e.Reason] = append(all[e.Reason], e.Message)
		}
	}
	return all
}
