package helm

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
)

// cluster is an API server in memory: as much of one as Helm and the room talk to.
type cluster struct {
	url string

	mu      sync.Mutex // guards what follows
	changed *sync.Cond
	ended   bool
	version int
	objects map[string]*unstructured.Unstructured // by path
	story   []change
	calls   []string
}

// change is something that watches tell.
type change struct {
	kind, path string
	version    int
	object     *unstructured.Unstructured
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{objects: map[string]*unstructured.Unstructured{}}
	c.changed = sync.NewCond(&c.mu)
	for _, ns := range []string{"default", "kube-system"} {
		c.create("namespaces", map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": ns}})
	}
	server := httptest.NewServer(http.HandlerFunc(c.serve))
	t.Cleanup(func() {
		c.mu.Lock()
		c.ended = true
		c.changed.Broadcast()
		c.mu.Unlock()
		server.Close()
	})
	c.url = server.URL
	return c
}

func (c *cluster) rest() *rest.Config {
	return &rest.Config{Host: c.url, QPS: -1, Timeout: 10 * time.Second, ContentConfig: rest.ContentConfig{ContentType: "application/json"}}
}

// kinds are those of a group and version.
func kinds() map[string][]meta.APIResource {
	all := meta.Verbs{"create", "get", "list", "watch", "patch", "update", "delete"}
	return map[string][]meta.APIResource{
		"v1": {{Name: "namespaces", Kind: "Namespace", Verbs: all}, {Name: "configmaps", Kind: "ConfigMap", Namespaced: true, Verbs: all},
			{Name: "secrets", Kind: "Secret", Namespaced: true, Verbs: all}, {Name: "events", Kind: "Event", Namespaced: true, Verbs: all}},
		"batch/v1":                {{Name: "jobs", Kind: "Job", Namespaced: true, Verbs: all}},
		"apiextensions.k8s.io/v1": {{Name: "customresourcedefinitions", Kind: "CustomResourceDefinition", Verbs: all}},
		"helm.cattle.io/v1": {{Name: "helmcharts", Kind: "HelmChart", Namespaced: true, Verbs: all},
			{Name: "helmchartconfigs", Kind: "HelmChartConfig", Namespaced: true, Verbs: all}},
	}
}

// discovery answers what the cluster offers; nil for any other path.
func discovery(path string) any {
	switch path {
	case "/version":
		return map[string]string{"gitVersion": "v1.36.4", "major": "1", "minor": "36"}
	case "/api":
		return meta.APIVersions{TypeMeta: meta.TypeMeta{Kind: "APIVersions"}, Versions: []string{"v1"}}
	case "/apis":
		list := meta.APIGroupList{TypeMeta: meta.TypeMeta{Kind: "APIGroupList", APIVersion: "v1"}}
		for version := range kinds() {
			if group, v, is := strings.Cut(version, "/"); is {
				one := meta.GroupVersionForDiscovery{GroupVersion: version, Version: v}
				list.Groups = append(list.Groups, meta.APIGroup{Name: group, Versions: []meta.GroupVersionForDiscovery{one}, PreferredVersion: one})
			}
		}
		return list
	}
	version := strings.TrimPrefix(strings.TrimPrefix(path, "/apis/"), "/api/")
	if list, found := kinds()[version]; found {
		return meta.APIResourceList{TypeMeta: meta.TypeMeta{APIVersion: "v1", Kind: "APIResourceList"}, GroupVersion: version, APIResources: list}
	}
	return nil
}

// kindOf is the kind of what lies at RESOURCE or NAMESPACE/RESOURCE.
func kindOf(where string) string {
	for _, list := range kinds() {
		for _, one := range list {
			if where == one.Name || strings.HasSuffix(where, "/"+one.Name) {
				return one.Kind
			}
		}
	}
	return ""
}

// place tells a path apart: as RESOURCE or NAMESPACE/RESOURCE, and the object's name.
func place(path string) (where, name string) {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	parts = parts[map[bool]int{true: 2, false: 3}[parts[0] == "api"]:]
	if parts[0] == "namespaces" && len(parts) > 2 && parts[2] != "status" {
		parts = append([]string{parts[1] + "/" + parts[2]}, parts[3:]...)
	}
	if len(parts) == 1 {
		return parts[0], ""
	}
	return parts[0], parts[1]
}

func problem(code int, reason meta.StatusReason, message string) *meta.Status {
	return &meta.Status{TypeMeta: meta.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: meta.StatusFailure, Code: int32(code), Reason: reason, Message: message}
}

func (c *cluster) serve(w http.ResponseWriter, q *http.Request) {
	partial := strings.Contains(q.Header.Get("Accept"), "as=PartialObjectMetadata")
	if q.URL.Query().Get("watch") == "true" {
		c.watch(w, q, partial)
		return
	}
	body, _ := io.ReadAll(q.Body)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls = append(c.calls, q.Method+" "+q.URL.Path)
	answer := discovery(q.URL.Path)
	if answer == nil {
		answer = c.answer(q, body, partial)
	}
	w.Header().Set("Content-Type", "application/json")
	if s, failed := answer.(*meta.Status); failed && s.Code != 0 {
		w.WriteHeader(int(s.Code))
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func (c *cluster) answer(q *http.Request, body []byte, partial bool) any {
	where, name := place(q.URL.Path)
	now := c.objects[where+"/"+name]
	switch {
	case q.Method == http.MethodPost:
		var content map[string]any
		_ = json.Unmarshal(body, &content)
		return c.create(where, content)
	case name == "":
		return c.list(where, q, partial)
	case q.Method == http.MethodPatch && q.Header.Get("Content-Type") == string(types.ApplyYAMLPatchType) && now == nil:
		var content map[string]any
		_ = json.Unmarshal(body, &content)
		return c.create(where, content)
	case now == nil:
		return problem(404, meta.StatusReasonNotFound, fmt.Sprintf("%s %q not found", where, name))
	case q.Method == http.MethodPut:
		return c.replace(where, now, body)
	case q.Method == http.MethodPatch:
		return c.patch(where, now, q.Header.Get("Content-Type"), body)
	case q.Method == http.MethodDelete:
		return c.remove(where, now)
	}
	return form(now, partial)
}

func form(u *unstructured.Unstructured, partial bool) any {
	if !partial {
		return u.Object
	}
	return map[string]any{"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": u.Object["metadata"]}
}

func (c *cluster) create(where string, content map[string]any) any {
	u := &unstructured.Unstructured{Object: content}
	if namespace, _, in := strings.Cut(where, "/"); in {
		if c.objects["namespaces/"+namespace] == nil {
			return problem(404, meta.StatusReasonNotFound, fmt.Sprintf("namespaces %q not found", namespace))
		}
		u.SetNamespace(namespace)
	}
	if c.objects[where+"/"+u.GetName()] != nil {
		return problem(409, meta.StatusReasonAlreadyExists, u.GetName()+" already exists")
	}
	if text, _ := u.MarshalJSON(); len(text) > 1400000 && kindOf(where) == "Secret" {
		return problem(422, meta.StatusReasonInvalid, `Secret "x" is invalid: data: Too long: may not be more than 1048576 bytes`)
	}
	u.SetUID(types.UID(fmt.Sprintf("uid-%d", c.version)))
	u.SetGeneration(1)
	c.put("ADDED", where, u)
	return u.Object
}

func (c *cluster) put(kind, where string, u *unstructured.Unstructured) {
	c.version++
	u.SetResourceVersion(fmt.Sprint(c.version))
	c.objects[where+"/"+u.GetName()] = u
	if kind == "DELETED" {
		delete(c.objects, where+"/"+u.GetName())
	}
	c.story = append(c.story, change{kind, where + "/" + u.GetName(), c.version, u.DeepCopy()})
	c.changed.Broadcast()
}

func (c *cluster) patch(where string, now *unstructured.Unstructured, kind string, patch []byte) any {
	before, _ := now.MarshalJSON()
	var after []byte
	var err error
	if kind == string(types.JSONPatchType) {
		var steps jsonpatch.Patch
		if steps, err = jsonpatch.DecodePatch(patch); err == nil {
			after, err = steps.Apply(before)
		}
	} else {
		after, err = jsonpatch.MergePatch(before, patch)
	}
	if err != nil {
		return problem(422, meta.StatusReasonInvalid, err.Error())
	}
	return c.replace(where, now, after)
}

func (c *cluster) replace(where string, now *unstructured.Unstructured, body []byte) any {
	u := &unstructured.Unstructured{}
	if err := u.UnmarshalJSON(body); err != nil {
		return problem(400, meta.StatusReasonBadRequest, err.Error())
	}
	if v := u.GetResourceVersion(); v != "" && v != now.GetResourceVersion() {
		return problem(409, meta.StatusReasonConflict, "it changed")
	}
	u.SetUID(now.GetUID())
	u.SetResourceVersion(now.GetResourceVersion())
	if reflect.DeepEqual(u.Object, now.Object) {
		return u.Object
	}
	if !reflect.DeepEqual(u.Object["spec"], now.Object["spec"]) {
		u.SetGeneration(now.GetGeneration() + 1)
	}
	if u.GetDeletionTimestamp() != nil && len(u.GetFinalizers()) == 0 {
		c.put("DELETED", where, u)
		return u.Object
	}
	c.put("MODIFIED", where, u)
	return u.Object
}

func (c *cluster) remove(where string, now *unstructured.Unstructured) any {
	u := now.DeepCopy()
	if len(u.GetFinalizers()) == 0 {
		c.put("DELETED", where, u)
	} else if u.GetDeletionTimestamp() == nil {
		at := meta.Now()
		u.SetDeletionTimestamp(&at)
		u.SetGeneration(u.GetGeneration() + 1)
		c.put("MODIFIED", where, u)
	}
	return &meta.Status{TypeMeta: meta.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: meta.StatusSuccess}
}

// chosen says whether a list or watch is about an object.
func chosen(q *http.Request, path string, u *unstructured.Unstructured) bool {
	where, _ := place(q.URL.Path)
	at := path[:strings.LastIndex(path, "/")]
	if at != where && !strings.HasSuffix(at, "/"+where) {
		return false
	}
	byLabel, _ := labels.Parse(q.URL.Query().Get("labelSelector"))
	byField, _ := fields.ParseSelector(q.URL.Query().Get("fieldSelector"))
	return byLabel.Matches(labels.Set(u.GetLabels())) && byField.Matches(fields.Set{"metadata.name": u.GetName()})
}

func (c *cluster) list(where string, q *http.Request, partial bool) any {
	items := []any{}
	for _, path := range slices.Sorted(maps.Keys(c.objects)) {
		if chosen(q, path, c.objects[path]) {
			items = append(items, form(c.objects[path], partial))
		}
	}
	list := map[string]any{"apiVersion": "v1", "kind": kindOf(where) + "List", "metadata": map[string]any{"resourceVersion": fmt.Sprint(c.version)}, "items": items}
	if partial {
		list["apiVersion"], list["kind"] = "meta.k8s.io/v1", "PartialObjectMetadataList"
	}
	return list
}

// watch tells what changes, after what there is when that is asked for.
func (c *cluster) watch(w http.ResponseWriter, q *http.Request, partial bool) {
	tell := func(kind string, object any) {
		_ = json.NewEncoder(w).Encode(map[string]any{"type": kind, "object": object})
		_ = http.NewResponseController(w).Flush()
	}
	w.Header().Set("Content-Type", "application/json")
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.wakeWhenGone(q)()
	from := 0
	_, _ = fmt.Sscan(q.URL.Query().Get("resourceVersion"), &from)
	if q.URL.Query().Get("sendInitialEvents") == "true" {
		for path, u := range c.objects {
			if chosen(q, path, u) {
				tell("ADDED", form(u, partial))
			}
		}
		from = c.version
		mark := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{}}}
		mark.SetResourceVersion(fmt.Sprint(from))
		mark.SetAnnotations(map[string]string{meta.InitialEventsAnnotationKey: "true"})
		tell("BOOKMARK", form(mark, partial))
	}
	for at := 0; !c.ended && q.Context().Err() == nil; c.changed.Wait() {
		for ; at < len(c.story); at++ {
			if s := c.story[at]; s.version > from && chosen(q, s.path, s.object) {
				tell(s.kind, form(s.object, partial))
			}
		}
	}
}

func (c *cluster) wakeWhenGone(q *http.Request) (stop func()) {
	done := make(chan struct{})
	go func() {
		select {
		case <-q.Context().Done():
			c.mu.Lock()
			c.changed.Broadcast()
			c.mu.Unlock()
		case <-done:
		}
	}()
	return func() { close(done) }
}
