package manifests

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	validate "k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	exact "k8s.io/apimachinery/pkg/util/json" // keeps whole numbers whole

	"github.com/skerry-io/skerry/internal/fault"
)

// ref names an object in the API; it is what a record keeps.
type ref struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Resource   string `json:"resource"` // the kind's name in URLs, for instance "pods"; empty while the kind is unknown
	Namespace  string `json:"namespace,omitempty"`
	Name       string `json:"name"`
}

// key is what makes an object the same one, in whichever version of its API it is written.
type key struct{ group, kind, namespace, name string }

func (r ref) key() key { return key{r.resource().Group, r.Kind, r.Namespace, r.Name} }

// resource is the place in the API. The version was checked when the object was read.
func (r ref) resource() schema.GroupVersionResource {
	gv, _ := schema.ParseGroupVersion(r.APIVersion)
	return gv.WithResource(r.Resource)
}

func (r ref) String() string {
	if r.Namespace != "" {
		return r.Kind + " " + r.Namespace + "/" + r.Name
	}
	return r.Kind + " " + r.Name
}

// object is one that a file holds.
type object struct {
	ref
	file *manifest
	line int    // where its document begins
	body []byte // JSON as in the file
}

// maxObjects keeps the record of a file within the size of an object.
const maxObjects = 5000

// parse reads the objects of a file: all of them, or none and an error. Lists are taken apart.
func parse(data []byte) ([]*object, error) {
	docs, err := documents(data)
	if err != nil {
		return nil, err
	}
	var all []*object
	for _, d := range docs {
		objects, err := open(d.json, ref{}, 0)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", d.line, err)
		}
		for _, o := range objects {
			o.line = d.line
		}
		all = append(all, objects...)
	}
	if len(all) > maxObjects {
		return nil, fault.New("%d objects are more than one file may hold", len(all)).Fix("split the file; %d objects fit into one", maxObjects)
	}
	return all, nil
}

// open makes objects of a document, several when it is a list. of is the kind of a typed list's items.
func open(text []byte, of ref, depth int) ([]*object, error) {
	var content map[string]any
	if exact.Unmarshal(text, &content) != nil || content == nil {
		return nil, errors.New("it is not an object of Kubernetes: a mapping with apiVersion, kind and metadata")
	}
	u := unstructured.Unstructured{Object: content}
	r := ref{APIVersion: orElse(u.GetAPIVersion(), of.APIVersion), Kind: orElse(u.GetKind(), of.Kind), Namespace: u.GetNamespace(), Name: u.GetName()}
	if r.APIVersion == "" || r.Kind == "" {
		return nil, errors.New("it is not an object of Kubernetes: apiVersion or kind is missing")
	}
	if _, err := schema.ParseGroupVersion(r.APIVersion); err != nil {
		return nil, fmt.Errorf("apiVersion: %w", err)
	}
	if isList(r, content) {
		return openList(text, r, depth)
	}
	for _, field := range []string{"name", "namespace"} {
		if _, _, err := unstructured.NestedString(content, "metadata", field); err != nil {
			return nil, fault.New("%s: metadata.%s is not text", r.Kind, field).Fix("put it in quotes; YAML takes y, no and 1 for something else")
		}
	}
	if r.Name == "" {
		return nil, fault.New("%s has no metadata.name", r.Kind).Fix("give it a name; generateName makes another object each time")
	}
	for _, part := range []string{r.Name, r.Namespace} {
		if wrong := validate.IsPathSegmentName(part); len(wrong) > 0 {
			return nil, fmt.Errorf("%s: the name %s", r, strings.Join(wrong, ", "))
		}
	}
	for _, field := range []string{"labels", "annotations"} {
		if _, _, err := unstructured.NestedStringMap(content, "metadata", field); err != nil {
			return nil, fmt.Errorf("%s: metadata.%s holds something that is not text; put it in quotes", r, field)
		}
	}
	return []*object{{ref: r, body: text}}, nil
}

func isList(r ref, content map[string]any) bool {
	_, items := content["items"].([]any)
	return r.Kind == "List" || items && r.Name == "" && strings.HasSuffix(r.Kind, "List")
}

// openList gives the items of a list. In a list of one kind they need not say what they are.
func openList(text []byte, list ref, depth int) ([]*object, error) {
	if depth > 2 {
		return nil, errors.New("lists in lists in lists")
	}
	var content struct{ Items []json.RawMessage }
	if err := json.Unmarshal(text, &content); err != nil {
		return nil, fmt.Errorf("%s: %w", list.Kind, err)
	}
	var of ref
	if list.Kind != "List" {
		of = ref{APIVersion: list.APIVersion, Kind: strings.TrimSuffix(list.Kind, "List")}
	}
	var all []*object
	for i, item := range content.Items {
		objects, err := open(item, of, depth+1)
		if err != nil {
			return nil, fmt.Errorf("item %d of the %s: %w", i+1, list.Kind, err)
		}
		all = append(all, objects...)
	}
	return all, nil
}

func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

// rank says which objects come first, as others need them; pruning goes the other way round.
func rank(r ref) int {
	for i, kinds := range [][]string{
		{"Namespace", "CustomResourceDefinition"},
		{"PriorityClass", "StorageClass", "IngressClass", "RuntimeClass", "ResourceQuota", "LimitRange", "ServiceAccount", "Secret", "ConfigMap",
			"ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding", "NetworkPolicy", "PersistentVolume", "PersistentVolumeClaim"},
		{"Service"},
	} {
		if slices.Contains(kinds, r.Kind) {
			return i
		}
	}
	switch r.Kind {
	case "APIService", "ValidatingWebhookConfiguration", "MutatingWebhookConfiguration":
		return 4 // who answers for them has to be there first
	}
	return 3
}

// bodyFor is what is sent to the API server: the object as the file has it, with its owner, and without what an export
// from a cluster brings along and the API server would refuse.
func (o *object) bodyFor(owner string) ([]byte, error) {
	var content map[string]any
	if err := exact.Unmarshal(o.body, &content); err != nil {
		return nil, err
	}
	u := unstructured.Unstructured{Object: content}
	u.SetAPIVersion(o.APIVersion)
	u.SetKind(o.Kind)
	u.SetNamespace(o.Namespace)
	for _, field := range []string{"managedFields", "resourceVersion", "uid", "generation", "creationTimestamp", "selfLink"} {
		unstructured.RemoveNestedField(content, "metadata", field)
	}
	u.SetLabels(with(u.GetLabels(), ownerLabel, owner))
	u.SetAnnotations(with(u.GetAnnotations(), fileAnnotation, o.file.path))
	return json.Marshal(content)
}

func with(m map[string]string, name, value string) map[string]string {
	if m == nil {
		m = map[string]string{}
	}
	m[name] = value
	return m
}
