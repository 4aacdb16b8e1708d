package cluster_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const staticDir = "/var/lib/skerry/server/static/charts"

// helmChart is a HelmChart in kube-system with this spec.
func helmChart(t *testing.T, name string, spec map[string]any) string {
	t.Helper()
	text, err := json.Marshal(map[string]any{"apiVersion": "helm.cattle.io/v1", "kind": "HelmChart",
		"metadata": map[string]any{"name": name, "namespace": "kube-system"}, "spec": spec})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func with(spec map[string]any, more map[string]any) map[string]any {
	both := maps.Clone(spec)
	maps.Copy(both, more)
	return both
}

// TestHelm: the cluster has the releases that HelmCharts say, and no pod of ours makes them. The parts share the node.
func TestHelm(t *testing.T) {
	n := newNode(t, []string{busybox})
	spec := map[string]any{"chartContent": base64.StdEncoding.EncodeToString(packChart(t, "harbour")),
		"targetNamespace": "sea", "createNamespace": true, "valuesContent": "lamp: {colour: green}", "set": map[string]any{"number": 7}}
	n.manifest("harbour.yaml", helmChart(t, "harbour", spec))
	n.serve()
	n.ready(t)

	t.Run("in a manifest at the very first start", func(t *testing.T) {
		n.chartIs(t, "harbour", "Deployed")
		n.reads(t, "sea", "motd", "text", "from the chart")
		n.reads(t, "sea", "motd", "number", "7")
		n.reads(t, "sea", "lamp", "colour", "green")
		n.kubectl(t, "wait", "-n", "sea", "--for=condition=available", "deployment/web", "--timeout=60s")
		n.kubectl(t, "get", "-n", "sea", "boat/ark", "job/before", "job/after")
		if pods := n.kubectl(t, "get", "pods", "-n", "kube-system", "-o", "name"); strings.Contains(pods, "helm") {
			t.Errorf("there are pods for it: %s", pods)
		}
	})
	t.Run("a HelmChartConfig and a Secret change it", func(t *testing.T) {
		n.applyText(t, "apiVersion: helm.cattle.io/v1\nkind: HelmChartConfig\nmetadata: {name: harbour, namespace: kube-system}\n"+
			"spec: {valuesContent: \"motd: from the config\", valuesSecrets: [{name: more, keys: [values]}]}")
		n.chartIs(t, "harbour", "InputsMissing")
		n.applyText(t, "apiVersion: v1\nkind: Secret\nmetadata: {name: more, namespace: kube-system}\nstringData: {values: \"secret: one\"}")
		n.swift(t, "the config counts", func() error { return n.held("sea", "motd", "text", "from the config") })
		n.applyText(t, "apiVersion: v1\nkind: Secret\nmetadata: {name: more, namespace: kube-system}\nstringData: {values: \"secret: two\"}")
		n.swift(t, "the Secret counts", func() error { return n.held("sea", "motd", "secret", "two") })
		n.chartIs(t, "harbour", "Deployed")
	})
	t.Run("a failing upgrade is rolled back", func(t *testing.T) { rolledBack(t, n, spec) })
	t.Run("a chart of the static folder", func(t *testing.T) { static(t, n) })
	t.Run("a repository over http", func(t *testing.T) { overHTTP(t, n) })
	t.Run("what cannot be", func(t *testing.T) { badCharts(t, n) })
	t.Run("a restart upgrades nothing", func(t *testing.T) {
		before := n.records(t)
		_ = n.stop(t)
		n.serve()
		n.ready(t)
		n.statusOf(t, "harbour", "deployed")
		time.Sleep(3 * time.Second)
		if after := n.records(t); after != before {
			t.Errorf("there are other revisions: before\n%s\nafter\n%s", before, after)
		}
	})
	t.Run("it goes with its object, and the object with its manifest", func(t *testing.T) {
		n.unmanifest(t, "harbour.yaml")
		n.eventually(t, "all of it is gone", func() error {
			left, err := n.try(t, "kubectl", "get", "helmchart/harbour", "-n", "kube-system", "--ignore-not-found", "-o", "name")
			rest, err2 := n.try(t, "kubectl", "get", "deployments,pods,boats,configmaps,secrets", "-n", "sea", "-o", "name")
			rest = strings.ReplaceAll(rest, "configmap/kube-root-ca.crt", "")
			rest = strings.Join(strings.Fields(rest), " ")
			if strings.HasPrefix(rest, "pod/") { // those of hooks stay, as Helm wants it
				rest = ""
			}
			if left+rest != "" || err != nil || err2 != nil {
				return errors.Join(fmt.Errorf("there is %s %s", left, rest), err, err2)
			}
			return nil
		})
	})
	t.Run("without the component nothing happens", func(t *testing.T) { withoutHelm(t, n) })
}

// rolledBack: a hook that fails, and then pods that never run.
func rolledBack(t *testing.T, n *node, spec map[string]any) {
	n.manifest("harbour.yaml", helmChart(t, "harbour", with(spec, map[string]any{"valuesContent": "exit: 3\nlamp: {colour: red}"})))
	n.chartIs(t, "harbour", "RolledBack")
	n.statusOf(t, "harbour", "failed")
	n.reads(t, "sea", "lamp", "colour", "green")

	n.manifest("harbour.yaml", helmChart(t, "harbour", with(spec, map[string]any{"valuesContent": "image: localhost/none:1\nlamp: {colour: blue}",
		"timeout": "8s"})))
	n.swift(t, "it is tried", func() error { return n.held("sea", "lamp", "colour", "blue") })
	n.chartIs(t, "harbour", "RolledBack")
	n.reads(t, "sea", "lamp", "colour", "green")
	if said := n.kubectl(t, "get", "events", "-n", "kube-system", "--field-selector", "reason=RolledBack"); !strings.Contains(said, "Deployment web is not ready: after 8s; container web of") {
		t.Errorf("events say %s", said)
	}

	n.manifest("harbour.yaml", helmChart(t, "harbour", with(spec, map[string]any{"valuesContent": "lamp: {colour: black}"})))
	n.swift(t, "what is right is taken up at once", func() error { return n.held("sea", "lamp", "colour", "black") })
	n.chartIs(t, "harbour", "Deployed")
	n.statusOf(t, "harbour", "deployed")
}

// static: by the address that k3s has for it, and by its path.
func static(t *testing.T, n *node) {
	n.host.Write(filepath.Join(staticDir, "small-1.0.0.tgz"), smallChart(t, "1.0.0"))
	n.applyText(t, helmChart(t, "by-address", map[string]any{"chart": "https://%{KUBERNETES_API}%/static/charts/small-1.0.0.tgz", "targetNamespace": inDefault}))
	n.applyText(t, helmChart(t, "by-path", map[string]any{"chart": filepath.Join(staticDir, "small-1.0.0.tgz"), "targetNamespace": inDefault}))
	n.reads(t, inDefault, "by-address", "version", "1.0.0")
	n.reads(t, inDefault, "by-path", "version", "1.0.0")
}

func overHTTP(t *testing.T, n *node) {
	at := n.chartRepository(t, "127.0.0.1:8879", "1.0.0", "1.2.0", "2.0.0")
	n.applyText(t, helmChart(t, "web", map[string]any{"repo": at, "chart": "small", "version": "^1", "targetNamespace": inDefault, "set": map[string]any{"text": "1,5"}}))
	n.reads(t, inDefault, "web", "version", "1.2.0")
	n.reads(t, inDefault, "web", "text", "1,5")
	n.kubectl(t, "patch", "helmchart", "web", "-n", "kube-system", "--type=merge", "-p", `{"spec":{"version":""}}`)
	n.swift(t, "the newest is there", func() error { return n.held(inDefault, "web", "version", "2.0.0") })
	n.kubectl(t, "delete", "helmchart", "web", "-n", "kube-system", "--timeout=60s")
	if out := n.kubectl(t, "get", "configmap", "web", "--ignore-not-found"); out != "" {
		t.Errorf("it stays: %s", out)
	}
}

// badCharts: each says on itself what is wrong, and the good one beside them is there.
func badCharts(t *testing.T, n *node) {
	good := map[string]any{"chart": "small-1.0.0.tgz", "targetNamespace": inDefault}
	bad := []struct {
		name, reason, words string
		spec                map[string]any
	}{
		{"absent", "ChartNotFetched", "/static/charts/absent.tgz", map[string]any{"chart": "charts/absent.tgz"}},
		{"garbled", "ChartNotFetched", "chartContent", map[string]any{"chartContent": "%%%"}},
		{"outside", "ChartNotFetched", "below the static folder", map[string]any{"chart": "/etc/skerry/config.tgz"}},
		{"values", "InputsMissing", "spec.valuesContent", with(good, map[string]any{"valuesContent": "a: [1"})},
		{"nowhere", "NamespaceMissing", `"nowhere"`, with(good, map[string]any{"targetNamespace": "nowhere"})},
		{"silent", "ChartNotFetched", "127.0.0.1:1", map[string]any{"repo": "http://127.0.0.1:1", "chart": "small"}},
		{"secretless", "InputsMissing", "kube-system/absent", with(good, map[string]any{"authSecret": map[string]any{"name": "absent"}})},
		{"by-path", "ReleaseTaken", "kube-system/by-path", nil},
	}
	for _, b := range bad[:len(bad)-1] {
		n.applyText(t, helmChart(t, b.name, b.spec))
	}
	n.applyText(t, strings.Replace(helmChart(t, "by-path", good), "kube-system", "default", 1))
	n.applyText(t, helmChart(t, "beside", good))
	n.swift(t, "the good one is there", func() error { return n.held(inDefault, "beside", "version", "1.0.0") })
	for _, b := range bad {
		namespace := "kube-system"
		if b.spec == nil {
			namespace = inDefault
		}
		n.eventually(t, b.name+" says what is wrong", func() error {
			got, err := n.condition(t, namespace, b.name)
			if err == nil && (!strings.HasPrefix(got, b.reason+" ") || !strings.Contains(got, b.words)) {
				err = errors.New(got)
			}
			return err
		})
		n.kubectl(t, "delete", "helmchart", b.name, "-n", namespace, "--timeout=30s")
	}
}

// withoutHelm: objects are left alone, and nothing of the component runs.
func withoutHelm(t *testing.T, n *node) {
	_ = n.stop(t)
	n.serve("--disable", "helm")
	n.ready(t)
	n.applyText(t, helmChart(t, "late", map[string]any{"chart": "small-1.0.0.tgz", "targetNamespace": inDefault}))
	time.Sleep(promptly)
	if out := n.kubectl(t, "get", "helmchart", "late", "-n", "kube-system", "-o", "jsonpath={.status}{.metadata.finalizers}"); out != "" {
		t.Errorf("it was looked at: %s", out)
	}
	for _, s := range n.status(t).Services {
		if s.Name == "helm" {
			t.Errorf("there is the service %+v", s)
		}
	}
}

// condition is why a HelmChart is or is not ready.
func (n *node) condition(t *testing.T, namespace, name string) (string, error) {
	return n.try(t, "kubectl", "get", "helmchart", name, "-n", namespace, "-o",
		`jsonpath={.status.conditions[?(@.type=="Ready")].reason} {.status.conditions[?(@.type=="Ready")].message}`)
}

// chartIs waits until a HelmChart is ready, or not, for this reason.
func (n *node) chartIs(t *testing.T, name, reason string) {
	t.Helper()
	n.eventually(t, name+" is "+reason, func() error {
		got, err := n.condition(t, "kube-system", name)
		if err == nil && !strings.HasPrefix(got, reason+" ") {
			err = errors.New(got)
		}
		return err
	})
}

// statusOf waits until `skerry status` shows a HelmChart like this.
func (n *node) statusOf(t *testing.T, name, state string) {
	t.Helper()
	n.eventually(t, "the status shows it "+state, func() error {
		if row := n.status(t).row("helm", "kube-system/"+name); row.State != state || row.OK == (state == "failed") {
			return fmt.Errorf("it shows %+v", row)
		}
		return nil
	})
}

// held says whether a ConfigMap holds this.
func (n *node) held(namespace, name, key, want string) error {
	got, err := n.configMap(namespace, name, key)
	if err == nil && got != want {
		err = fmt.Errorf("%s of %s is %q", key, name, got)
	}
	return err
}

func (n *node) reads(t *testing.T, namespace, name, key, want string) {
	t.Helper()
	n.eventually(t, fmt.Sprintf("%s of %s is %s", key, name, want), func() error { return n.held(namespace, name, key, want) })
}

// swift is eventually, and an error when that took long. A hook that runs before an upgrade takes some seconds.
func (n *node) swift(t *testing.T, what string, check func() error) {
	t.Helper()
	begin := time.Now()
	n.eventually(t, what, check)
	if took := time.Since(begin); took > 3*promptly {
		t.Errorf("%s: only after %v", what, took)
	}
}

// records are the names of all revisions of all releases.
func (n *node) records(t *testing.T) string {
	t.Helper()
	return n.kubectl(t, "get", "secrets", "-A", "-l", "owner=helm", "-o", "name")
}

func (n *node) configMap(namespace, name, key string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := n.api.CoreV1().ConfigMaps(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	return c.Data[key], nil
}
