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
