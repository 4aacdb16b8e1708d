package helm

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/skerry-io/skerry/internal/run"
)

// bench is the room at work with a cluster.
type bench struct {
	*cluster
	t      *testing.T
	static string
	rows   run.Rows
	stop   func()
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{cluster: newCluster(t), t: t, static: t.TempDir()}
	b.start()
	t.Cleanup(func() { b.stop() })
	return b
}

// start runs it; stop waits until nothing of it is left.
func (b *bench) start() {
	b.t.Helper()
	clients, err := ClientsFor(b.rest())
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	h := New(Config{Static: b.static, Rows: &b.rows, Log: slog.New(slog.DiscardHandler)})
	go func() { done <- h.Run(ctx, clients, func() {}) }()
	b.stop = func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				b.t.Errorf("it ends with %v", err)
			}
		case <-time.After(10 * time.Second):
			b.t.Error("it does not end")
		}
		b.stop = func() {}
	}
	b.until("it runs", func() error {
		if b.object("customresourcedefinitions/helmchartconfigs.helm.cattle.io") == nil {
			return errors.New("there are no definitions")
		}
		return nil
	})
}

func (b *bench) until(what string, check func() error) {
	b.t.Helper()
	for end := time.Now().Add(15 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			b.t.Fatalf("%s: %v", what, err)
		}
	}
}

func (b *bench) object(path string) *unstructured.Unstructured {
	b.mu.Lock()
	defer b.mu.Unlock()
	if u := b.objects[path]; u != nil {
		return u.DeepCopy()
	}
	return nil
}

// set makes or changes an object.
func (b *bench) set(where string, content map[string]any) {
	b.t.Helper()
	text, err := json.Marshal(content)
	if err != nil {
		b.t.Fatal(err)
	}
	var u unstructured.Unstructured
	if err := json.Unmarshal(text, &u.Object); err != nil {
		b.t.Fatal(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.objects[where+"/"+u.GetName()]
	if now == nil {
		b.create(where, u.Object)
		return
	}
	after := now.DeepCopy()
	for _, part := range []string{"spec", "data", "status"} {
		if u.Object[part] != nil {
			after.Object[part] = u.Object[part]
		}
	}
	text, _ = after.MarshalJSON()
	b.replace(where, now, text)
}

func (b *bench) delete(path string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if u := b.objects[path]; u != nil {
		b.remove(path[:strings.LastIndex(path, "/")], u)
	}
}

func object(kind, name string, parts map[string]any) map[string]any {
	o := map[string]any{"apiVersion": "v1", "kind": kind, "metadata": map[string]any{"name": name}}
	if strings.HasPrefix(kind, "HelmChart") {
		o["apiVersion"] = apiVersion
	}
	for name, part := range parts {
		o[name] = part
	}
	return o
}

// chart makes or changes a HelmChart.
func (b *bench) chart(namespace, name string, spec map[string]any) {
	b.t.Helper()
	b.set(namespace+"/helmcharts", object("HelmChart", name, map[string]any{"spec": spec}))
}

func (b *bench) secret(name string, data map[string]string) {
	b.t.Helper()
	coded := map[string]any{}
	for key, text := range data {
		coded[key] = base64.StdEncoding.EncodeToString([]byte(text))
	}
	b.set("default/secrets", object("Secret", name, map[string]any{"data": coded}))
}

// is waits until a HelmChart of the namespace default is ready, or not, for a reason, and says all of this.
func (b *bench) is(name, reason string, words ...string) {
	b.t.Helper()
	b.chartIs("default", name, reason, words...)
}

func (b *bench) chartIs(namespace, name, reason string, words ...string) {
	b.t.Helper()
	b.until(name+" is "+reason, func() error {
		u := b.object(namespace + "/helmcharts/" + name)
		if u == nil {
			return errors.New("there is none")
		}
		delete(u.Object, "spec") // it may make no sense
		var c helmChart
		if err := decode(u, &c); err != nil {
			return err
		}
		for _, one := range c.Status.Conditions {
			if one.Type == conditionReady && one.Reason == reason {
				for _, w := range words {
					if !strings.Contains(one.Message, w) {
						return fmt.Errorf("it says %q", one.Message)
					}
				}
				return nil
			}
		}
		return fmt.Errorf("it has the conditions %+v", c.Status.Conditions)
	})
}

// says waits until a ConfigMap says something.
func (b *bench) says(path, key, want string) {
	b.t.Helper()
	b.until(path+" says "+want, func() error {
		u := b.object(path)
		if u == nil {
			return errors.New("there is none")
		}
		if got, _, _ := unstructured.NestedString(u.Object, "data", key); got != want {
			return fmt.Errorf("it says %q", got)
		}
		return nil
	})
}

func (b *bench) gone(path string) {
	b.t.Helper()
	b.until(path+" is gone", func() error {
		if b.object(path) != nil {
			return errors.New("it is there")
		}
		return nil
	})
}

// revisions counts the records of a release.
func (b *bench) revisions(namespace, name string) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for path := range b.objects {
		if strings.HasPrefix(path, namespace+"/secrets/sh.helm.release.v1."+name+".") {
			n++
		}
	}
	return n
}

const plain = `apiVersion: v1
kind: ConfigMap
metadata: {name: {{ .Release.Name }}}
data: {text: {{ .Values.text | quote }}, more: {{ .Values.more | toJson | quote }}}
`

// pack is a chart of one ConfigMap and more files, in base64.
func pack(t *testing.T, version string, more map[string]string) string {
	t.Helper()
	return base64.StdEncoding.EncodeToString(packed(t, version, more))
}

func packed(t *testing.T, version string, more map[string]string) []byte {
	t.Helper()
	files := map[string]string{"Chart.yaml": "apiVersion: v2\nname: small\nversion: " + version + "\n",
		"values.yaml": "text: chart\nmore: {a: 1, b: 2}\n", "templates/a.yaml": plain}
	for name, text := range more {
		files[name] = text
	}
	var b bytes.Buffer
	zip := gzip.NewWriter(&b)
	archive := tar.NewWriter(zip)
	for name, text := range files {
		err := archive.WriteHeader(&tar.Header{Name: "small/" + name, Mode: 0o644, Size: int64(len(text)), Typeflag: tar.TypeReg})
		if _, err2 := archive.Write([]byte(text)); err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
	}
	if err := errors.Join(archive.Close(), zip.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestInstallUpgradeUninstall(t *testing.T) {
	b := newBench(t)
	spec := map[string]any{"chartContent": pack(t, "1.0.0", nil), "targetNamespace": "far", "createNamespace": true}
	b.chart("default", "a", spec)
	b.says("far/configmaps/a", "text", "chart")
	b.is("a", reasonDeployed, "small 1.0.0", "revision 1")
	spec["set"] = map[string]any{"text": "true", "more.a": 5, "more.c": "1,2"}
	b.chart("default", "a", spec)
	b.says("far/configmaps/a", "more", `{"a":5,"b":2,"c":"1,2"}`)
	b.says("far/configmaps/a", "text", "true")
	spec["chartContent"] = pack(t, "1.5.0", map[string]string{"long.txt": strings.Repeat("all work and no play\n", 200_000), "more.txt": strings.Repeat("and more\n", 200_000)})
	b.chart("default", "a", spec)
	b.is("a", reasonDeployed, "small 1.5.0") // 6 MB, which are little when they are packed
	spec["targetNamespace"] = "kube-system"
	b.chart("default", "a", spec)
	b.says("kube-system/configmaps/a", "text", "true")
	b.gone("far/configmaps/a")
	b.is("a", reasonDeployed)
	b.delete("default/helmcharts/a")
	b.gone("default/helmcharts/a")
	b.gone("kube-system/configmaps/a")
	if n := b.revisions("kube-system", "a") + b.revisions("far", "a"); n != 0 {
		t.Errorf("there are %d records left", n)
	}
	b.until("the status forgets it", func() error {
		if rows := b.rows.Details(); len(rows) != 0 {
			return fmt.Errorf("it shows %+v", rows)
		}
		return nil
	})
}

func TestValuesFromEverywhere(t *testing.T) {
	b := newBench(t)
	b.chart("default", "a", map[string]any{"chartContent": pack(t, "1.0.0", nil), "valuesContent": "text: object\nmore: {a: null, d: 4}",
		"valuesSecrets": []any{map[string]any{"name": "one", "keys": []string{"x"}}, map[string]any{"name": "two", "ignoreUpdates": true}}})
	b.is("a", reasonInputs, "default/one", "spec.valuesSecrets")
	b.secret("one", map[string]string{"x": "text: one", "y": "text: not named"})
	b.is("a", reasonInputs, "default/two")
	b.secret("two", map[string]string{"a": "text: two"})
	b.secret("one", map[string]string{"x": "text: one", "y": "wakes it"}) // the other's making is not watched
	b.says("default/configmaps/a", "text", "two")
	b.says("default/configmaps/a", "more", `{"b":2,"d":4}`)
	b.is("a", reasonDeployed)

	config := func(text string) map[string]any {
		return object("HelmChartConfig", "a", map[string]any{"spec": map[string]any{"valuesContent": text}})
	}
	b.set("default/helmchartconfigs", config("text: config"))
	b.says("default/configmaps/a", "text", "config")
	b.set("default/helmchartconfigs", config("text: [1"))
	b.is("a", reasonInputs, "HelmChartConfig")
	before := b.revisions("default", "a")
	b.set("default/helmchartconfigs", config("text: config"))
	b.is("a", reasonDeployed)
	if after := b.revisions("default", "a"); after != before {
		t.Errorf("what was so already was upgraded again: %d revisions, %d before", after, before)
	}
	b.delete("default/helmchartconfigs/a")
	b.says("default/configmaps/a", "text", "two")
}

func TestRestartUpgradesNothing(t *testing.T) {
	b := newBench(t)
	if err := os.WriteFile(filepath.Join(b.static, "s.tgz"), packed(t, "1.0.0", nil), 0o600); err != nil {
		t.Fatal(err)
	}
	b.chart("default", "a", map[string]any{"chart": "s.tgz"})
	b.chart("default", "b", map[string]any{"chartContent": pack(t, "1.0.0", nil)})
	b.chart("default", "c", map[string]any{"chartContent": pack(t, "1.0.0", nil)})
	for _, name := range []string{"a", "b", "c"} {
		b.is(name, reasonDeployed)
	}
	b.stop()
	if err := os.WriteFile(filepath.Join(b.static, "s.tgz"), packed(t, "2.0.0", nil), 0o600); err != nil {
		t.Fatal(err)
	}
	b.delete("default/secrets/sh.helm.release.v1.c.v1") // somebody uninstalled it
	b.delete("default/configmaps/c")
	b.start()
	b.is("a", reasonDeployed, "small 2.0.0", "revision 2")
	b.says("default/configmaps/c", "text", "chart")
	if n := b.revisions("default", "b"); n != 1 {
		t.Errorf("b has %d revisions", n)
	}
}

func TestBadInput(t *testing.T) {
	b := newBench(t)
	good := pack(t, "1.0.0", nil)
	noise := make([]byte, 3<<20)
	for i := range noise {
		noise[i] = byte(rand.Uint32())
	}
	for name, c := range map[string]struct {
		reason, words string
		spec          map[string]any
	}{
		"nothing":   {reasonNoChart, "names no chart", map[string]any{}},
		"absent":    {reasonNoChart, b.static, map[string]any{"chart": "absent.tgz"}},
		"base64":    {reasonNoChart, "spec.chartContent", map[string]any{"chartContent": "%%"}},
		"notgzip":   {reasonInstall, "read the chart", map[string]any{"chartContent": "YWJj"}},
		"values":    {reasonInputs, "spec.valuesContent", map[string]any{"chartContent": good, "valuesContent": "a: ]"}},
		"nomap":     {reasonInputs, "spec.valuesContent", map[string]any{"chartContent": good, "valuesContent": "- a"}},
		"set":       {reasonInputs, "a[", map[string]any{"chartContent": good, "set": map[string]any{"a[": "1"}}},
		"namespace": {reasonNamespace, `"nowhere"`, map[string]any{"chartContent": good, "targetNamespace": "nowhere"}},
		"timeout":   {reasonInvalid, "timeout", map[string]any{"chartContent": good, "timeout": "soon"}},
		"secret":    {reasonInputs, "default/absent", map[string]any{"chartContent": good, "authSecret": map[string]any{"name": "absent"}}},
		"docker":    {reasonInputs, "default/absent", map[string]any{"chartContent": good, "dockerRegistrySecret": map[string]any{"name": "absent"}}},
		"ca":        {reasonInputs, "ConfigMap default/absent", map[string]any{"chartContent": good, "repoCAConfigMap": map[string]any{"name": "absent"}}},
		"refused":   {reasonNoChart, "127.0.0.1:1", map[string]any{"repo": "http://127.0.0.1:1", "chart": "x"}},
		"template":  {reasonInstall, "no such thing", map[string]any{"chartContent": pack(t, "1.0.0", map[string]string{"templates/b.yaml": `{{ fail "no such thing" }}`})}},
		"kind":      {reasonInstall, "Unheard", map[string]any{"chartContent": pack(t, "1.0.0", map[string]string{"templates/b.yaml": "apiVersion: x/v1\nkind: Unheard\nmetadata: {name: a}"})}},
		"needs":     {reasonInstall, "helm dependency update", map[string]any{"chartContent": pack(t, "1.0.0", map[string]string{"Chart.yaml": "apiVersion: v2\nname: small\nversion: 1.0.0\ndependencies: [{name: x, version: 1.0.0}]"})}},
		"large":     {reasonInstall, "too large", map[string]any{"chartContent": pack(t, "1.0.0", map[string]string{"big": string(noise)})}},
	} {
		t.Run(name, func(t *testing.T) {
			b.chart("default", name, c.spec)
			b.is(name, c.reason, c.words)
		})
	}
	b.chart("default", "good", map[string]any{"chartContent": good})
	b.says("default/configmaps/good", "text", "chart")
	b.chart("kube-system", "good", map[string]any{"chartContent": good, "targetNamespace": "default"})
	b.chartIs("kube-system", "good", reasonTaken, "default/good")
	b.delete("kube-system/helmcharts/good")
	b.gone("kube-system/helmcharts/good")
	b.is("good", reasonDeployed)
	bad := 0
	for _, row := range b.rows.Details() {
		if row.Bad {
			bad++
		}
	}
	if bad < 10 {
		t.Errorf("the status shows only %d bad ones: %+v", bad, b.rows.Details())
	}
	for _, name := range []string{"timeout", "values", "refused"} {
		b.delete("default/helmcharts/" + name)
		b.gone("default/helmcharts/" + name)
	}
}
