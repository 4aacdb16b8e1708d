package cluster_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const manifestsDir = "/var/lib/skerry/server/manifests"

// promptly is how soon a change of a manifest is in the cluster, with as much again for a busy machine.
const promptly = 4 * time.Second

// motd is a manifest of one ConfigMap.
func motd(name, text string) string {
	return fmt.Sprintf("---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: %q}\ndata: {text: %q}\n", name, text)
}

const boats = `
apiVersion: sea.example/v1
kind: Boat
metadata: {name: ark, namespace: harbour}
spec: {crew: 8}
---
apiVersion: v1
kind: Namespace
metadata: {name: harbour}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: boats.sea.example}
spec:
  group: sea.example
  scope: Namespaced
  names: {kind: Boat, plural: boats}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {crew: {type: integer}}}}}}
`

// TestManifests: the cluster is as the files in the manifests folder say, whatever happens to the files and the server.
func TestManifests(t *testing.T) {
	n := newNode(t, nil)
	n.manifest("start.yaml", motd("first", "there at the start"))
	n.serve()
	n.apiReady(t)

	t.Run("what is there at the start", func(t *testing.T) { n.says(t, "first", "there at the start") })
	t.Run("a file that comes, changes and goes", func(t *testing.T) {
		n.manifest("sub/a.yaml", motd("hello", "1")+motd("more", "1"))
		n.says(t, "hello", "1")
		n.says(t, "more", "1")
		n.manifest("sub/a.yaml", motd("hello", "2"))
		n.says(t, "hello", "2")
		n.silent(t, "more")
		n.unmanifest(t, "sub/a.yaml")
		n.silent(t, "hello")
	})
	t.Run("an object before its definition and its namespace, in one file", func(t *testing.T) {
		n.manifest("boats.yaml", boats)
		n.eventually(t, "the boat is there", func() error {
			out, err := n.try(t, "kubectl", "get", "boat", "-n", "harbour", "ark", "-o", "jsonpath={.spec.crew}")
			if err == nil && out != "8" {
				err = fmt.Errorf("it says %q", out)
			}
			return err
		})
		n.unmanifest(t, "boats.yaml")
		n.eventually(t, "the definition is gone", func() error {
			if out, err := n.try(t, "kubectl", "get", "boats", "-A"); err == nil {
				return errors.New(out)
			}
			return nil
		})
	})
	t.Run("broken files beside a good one", func(t *testing.T) {
		n.manifest("broken.yaml", "kind: [\n")
		n.manifest("refused.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: refused}\nspec: {ports: [{port: 99999}]}\n")
		n.manifest("unknown.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: misspelt}\ndta: {}\n")
		n.manifest("good.yaml", motd("good", "1"))
		n.says(t, "good", "1")
		n.toldOf(t, "broken.yaml: line 1", "refused.yaml: line 1: Service default/refused", "unknown.yaml: line 1: ConfigMap default/misspelt")
		for _, file := range []string{"broken.yaml", "refused.yaml", "unknown.yaml"} {
			n.unmanifest(t, file)
		}
	})
	t.Run("five megabytes", func(t *testing.T) { fiveMegabytes(t, n) })
	t.Run("changed while the server was down", func(t *testing.T) {
		n.manifest("two.yaml", motd("stays", "1")+motd("leaves", "1"))
		n.says(t, "leaves", "1")
		n.kubectl(t, "patch", "configmap", "good", "-p", `{"data":{"text":"drifted"}}`)
		n.proc.Kill()
		n.manifest("two.yaml", motd("stays", "2"))
		n.unmanifest(t, "start.yaml")
		n.serve()
		n.apiReady(t)
		n.says(t, "stays", "2")
		n.says(t, "good", "1")
		n.silent(t, "leaves")
		n.silent(t, "first")
	})
	t.Run("without the component nothing happens", func(t *testing.T) {
		_ = n.stop(t)
		n.manifest("late.yaml", motd("late", "1"))
		n.serve("--disable", "manifests")
		n.apiReady(t)
		n.says(t, "good", "1")
		time.Sleep(promptly)
		if _, err := n.text(t, "late"); !apierrors.IsNotFound(err) {
			t.Errorf("it was applied: %v", err)
		}
	})
}

// fiveMegabytes: as much as a chart that someone rendered may be, and one object of it too large for the API server.
func fiveMegabytes(t *testing.T, n *node) {
	var all strings.Builder
	for i := range 20 {
		all.WriteString(motd(fmt.Sprintf("large-%d", i), strings.Repeat("x", 250<<10)))
	}
	n.manifest("large.yaml", all.String())
	n.eventually(t, "all of it is there", func() error {
		for i := range 20 {
			if text, err := n.text(t, fmt.Sprintf("large-%d", i)); err != nil || len(text) != 250<<10 {
				return fmt.Errorf("number %d has %d bytes, %w", i, len(text), err)
			}
		}
		return nil
	})
	n.manifest("huge.yaml", motd("huge", strings.Repeat("x", 5<<20))+motd("beside", "1"))
	n.eventually(t, "what is beside the large one is there", func() error { _, err := n.text(t, "beside"); return err })
	n.toldOf(t, "huge.yaml: line 2: ConfigMap default/huge: Request entity too large")
	if row := n.status(t).row("manifests", "huge.yaml"); row.OK || row.State != "failed" || row.Error == "" {
		t.Errorf("the status tells %+v", row)
	}
	n.unmanifest(t, "huge.yaml")
	n.unmanifest(t, "large.yaml")
	n.silent(t, "large-19")
}

func (n *node) manifest(name, text string) {
	n.host.Write(filepath.Join(manifestsDir, name), []byte(text))
}

func (n *node) unmanifest(t *testing.T, name string) {
	t.Helper()
	if err := os.Remove(n.host.Path(filepath.Join(manifestsDir, name))); err != nil {
		t.Fatal(err)
	}
}

// text is what a ConfigMap of the namespace default says.
func (n *node) text(t *testing.T, name string) (string, error) {
	t.Helper()
	c, err := n.api.CoreV1().ConfigMaps(inDefault).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	return c.Data["text"], nil
}

func (n *node) says(t *testing.T, name, want string) {
	t.Helper()
	n.prompt(t, fmt.Sprintf("%s says %s", name, want), func() error {
		got, err := n.text(t, name)
		if err == nil && got != want {
			err = fmt.Errorf("it says %q", got)
		}
		return err
	})
}

func (n *node) silent(t *testing.T, name string) {
	t.Helper()
	n.prompt(t, name+" is gone", func() error {
		got, err := n.text(t, name)
		if apierrors.IsNotFound(err) {
			return nil
		}
		return errors.Join(fmt.Errorf("it says %q", got), err)
	})
}

// prompt is eventually, and an error when that was late.
func (n *node) prompt(t *testing.T, what string, check func() error) {
	t.Helper()
	begin := time.Now()
	n.eventually(t, what, check)
	if took := time.Since(begin); took > promptly {
		t.Errorf("%s: only after %v", what, took)
	}
}

// toldOf waits for Events that begin like this.
func (n *node) toldOf(t *testing.T, beginnings ...string) {
	t.Helper()
	n.eventually(t, "events tell of the broken files", func() error {
		events, err := n.api.CoreV1().Events(metav1.NamespaceSystem).List(t.Context(), metav1.ListOptions{FieldSelector: "reason=ManifestFailed"})
		if err != nil {
			return err
		}
		var all strings.Builder
		for _, e := range events.Items {
			all.WriteString("\n" + e.Message)
		}
		for _, beginning := range beginnings {
			if !strings.Contains(all.String(), "\n"+beginning) {
				return fmt.Errorf("nothing about %q in%s", beginning, all.String())
			}
		}
		return nil
	})
}
