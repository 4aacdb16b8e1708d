package manifests

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation"
)

func TestParse(t *testing.T) {
	one := func(name string) string {
		return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + "}\n"
	}
	item := func(name string) string {
		return `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"` + name + `"}}`
	}
	for name, c := range map[string]struct {
		text string
		want string // line and object, or an error
	}{
		"one document":             {one("a"), "1 ConfigMap a"},
		"marks, comments, nothing": {"# c\n---\n---\n# d\n\n" + one("a") + "---\n...\n---   # e\n" + one("b"), "6 ConfigMap a, 12 ConfigMap b"},
		"directives":               {"%YAML 1.1\n---\n" + one("a"), "3 ConfigMap a"},
		"content beside the mark":  {"--- {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n", "1 ConfigMap a"},
		"lines that end in CRLF":   {strings.ReplaceAll(one("a")+"---\n"+one("b"), "\n", "\r\n"), "1 ConfigMap a, 5 ConfigMap b"},
		"a byte order mark":        {"\xef\xbb\xbf" + one("a"), "1 ConfigMap a"},
		"a mark in a text":         {one("a") + "data:\n  k: |\n    x\n    ---\n    y\n", "1 ConfigMap a"},
		"null":                     {"null\n---\n" + one("a"), "3 ConfigMap a"},
		"JSON":                     {item("a"), "1 ConfigMap a"},
		"JSON objects in a row":    {item("a") + "\n" + item("b") + item("c"), "1 ConfigMap a, 2 ConfigMap b, 2 ConfigMap c"},
		"YAML like JSON":           {"{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}", "1 ConfigMap a"},
		"a list":                   {"apiVersion: v1\nkind: List\nitems:\n- " + item("a") + "\n- " + item("b") + "\n", "1 ConfigMap a, 1 ConfigMap b"},
		"a list of one kind":       {"apiVersion: v1\nkind: ConfigMapList\nitems:\n- {metadata: {name: a}}\n", "1 ConfigMap a"},
		"an empty list":            {"apiVersion: v1\nkind: List\n", ""},
		"a list with a bad item":   {"apiVersion: v1\nkind: List\nitems:\n- {kind: x}\n", "line 1: item 1 of the List: it is not an object of Kubernetes"},
		"an odd apiVersion":        {"apiVersion: a/b/c\nkind: X\nmetadata: {name: a}\n", "line 1: apiVersion"},
		"the line of a mistake":    {one("a") + "---\n" + one("b") + "data:\n\tk: v\n", "line 9: "},
		"only comments":            {"# nothing here\n", ""},
	} {
		objects, err := parse([]byte(c.text))
		var got []string
		for _, o := range objects {
			got = append(got, fmt.Sprintf("%d %s", o.line, o.ref))
		}
		if text := strings.Join(got, ", "); err == nil && text != c.want || err != nil && (c.want == "" || !strings.HasPrefix(err.Error(), c.want)) {
			t.Errorf("%s: got %q, %v; want %q", name, text, err, c.want)
		}
	}
}

func TestWhatIsSent(t *testing.T) {
	text := `apiVersion: v1
kind: ConfigMap
metadata: {name: a, namespace: ns, uid: "1", resourceVersion: "2", generation: 3, creationTimestamp: null, managedFields: [], labels: {x: one}}
number: 9007199254740993
`
	objects, err := parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	o := objects[0]
	o.file = &manifest{path: "sub/a.yaml"}
	body, err := o.bodyFor(id(o.file.path))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"annotations":{"skerry.io/manifest-file":"sub/a.yaml"},"labels":{"skerry.io/manifest":"` +
		id("sub/a.yaml") + `","x":"one"},"name":"a","namespace":"ns"},"number":9007199254740993}`
	if string(body) != want {
		t.Errorf("got  %s\nwant %s", body, want)
	}
}

func TestID(t *testing.T) {
	seen := map[string]string{}
	for _, path := range []string{"a.yaml", "A.yaml", "a-yaml", "sub/a.yaml", "ä ö.yaml", "-", ".", strings.Repeat("long/", 60) + "x.yaml"} {
		got := id(path)
		if wrong := slices.Concat(validation.IsValidLabelValue(got), validation.IsDNS1123Subdomain(name(path, "host.example"))); len(wrong) > 0 {
			t.Errorf("%q: %q", path, wrong)
		}
		if seen[got] != "" {
			t.Errorf("%q and %q are both %s", path, seen[got], got)
		}
		seen[got] = path
	}
	if !strings.HasPrefix(id("sub/a.yaml"), "sub-a-yaml-") {
		t.Errorf("%s is not legible", id("sub/a.yaml"))
	}
}
