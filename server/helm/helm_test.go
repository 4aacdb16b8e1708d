package helm

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

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
