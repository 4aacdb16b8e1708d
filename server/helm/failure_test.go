package helm

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const hook = `apiVersion: batch/v1
kind: Job
metadata: {name: hook, annotations: {helm.sh/hook: "pre-install,pre-upgrade"}}
spec: {mark: {{ .Values.text | quote }}}
`

// hooked is a chart whose hook ends when the test says so.
func hooked(t *testing.T, text string) map[string]any {
	t.Helper()
	return map[string]any{"chartContent": pack(t, "1.0.0", map[string]string{"templates/hook.yaml": hook}), "valuesContent": "text: " + text}
}

// hookEnds waits for the hook of this text, and ends it.
func (b *bench) hookEnds(text, how string) {
	b.t.Helper()
	b.hookRuns(text)
	b.set("default/jobs", object("Job", "hook", map[string]any{"status": map[string]any{"conditions": []any{
		map[string]any{"type": how, "status": "True", "reason": "Because", "message": "it did"}}}}))
}

func (b *bench) hookRuns(text string) {
	b.t.Helper()
	b.until("the hook runs for "+text, func() error {
		u := b.object("default/jobs/hook")
		if u == nil {
			return errors.New("there is none")
		}
		if mark, _, _ := unstructured.NestedString(u.Object, "spec", "mark"); mark != text || u.Object["status"] != nil {
			return fmt.Errorf("it is of %s", mark)
		}
		return nil
	})
}

// status is what a HelmChart of the namespace default says of itself.
func (b *bench) status(name string) chartStatus {
	b.t.Helper()
	var c helmChart
	if err := decode(b.object("default/helmcharts/"+name), &c); err != nil {
		b.t.Fatal(err)
	}
	return c.Status
}

func (b *bench) changeStatus(name string, change func(*chartStatus)) {
	b.t.Helper()
	s := b.status(name)
	change(&s)
	b.set("default/helmcharts", object("HelmChart", name, map[string]any{"status": s}))
}

func TestFailingUpgradeIsRolledBack(t *testing.T) {
	b := newBench(t)
	b.chart("default", "a", hooked(t, "one"))
	b.hookEnds("one", "Complete")
	b.is("a", reasonDeployed)
	b.chart("default", "a", hooked(t, "two"))
	b.hookEnds("two", "Failed")
	b.is("a", reasonRolledBack, "hook Job hook: the Job failed", "rolled back to what revision 1 was")
	b.says("default/configmaps/a", "text", "one")
	if s := b.status("a"); s.Tries != 1 || s.Inputs == "" || s.LastTry == nil {
		t.Errorf("the status is %+v", s)
	}
	b.chart("default", "a", hooked(t, "three"))
	b.hookEnds("three", "Complete")
	b.says("default/configmaps/a", "text", "three")
	b.is("a", reasonDeployed)
	if s := b.status("a"); s.Tries != 0 || s.Tried != "" || s.LastTry != nil {
		t.Errorf("the status is %+v", s)
	}
}

func TestFailedInstallBeginsAnew(t *testing.T) {
	b := newBench(t)
	b.chart("default", "a", hooked(t, "one"))
	b.hookEnds("one", "Failed")
	b.is("a", reasonInstall, "the Job failed")
	b.stop()
	b.changeStatus("a", func(s *chartStatus) { s.LastTry = &meta.Time{Time: time.Now().Add(-firstRetry)} })
	b.start()
	b.hookEnds("one", "Complete")
	b.is("a", reasonDeployed, "revision 1")
	b.says("default/configmaps/a", "text", "one")
}

func TestAbortWaitsForAChange(t *testing.T) {
	b := newBench(t)
	spec := hooked(t, "one")
	spec["failurePolicy"] = "abort"
	b.chart("default", "a", spec)
	b.hookEnds("one", "Failed")
	b.is("a", reasonInstall)
	b.stop()
	b.changeStatus("a", func(s *chartStatus) { s.LastTry = &meta.Time{Time: time.Now().Add(-time.Hour)} })
	b.start()
	b.until("the status shows it", func() error {
		if rows := b.rows.Details(); len(rows) != 1 || !rows[0].Bad || rows[0].Err == nil {
			return fmt.Errorf("it shows %+v", rows)
		}
		return nil
	})
	if u := b.object("default/jobs/hook"); u.Object["status"] == nil {
		t.Error("it was tried again")
	}
	spec = hooked(t, "two")
	spec["failurePolicy"] = "abort"
	b.chart("default", "a", spec)
	b.hookEnds("two", "Complete")
	b.is("a", reasonDeployed, "revision 2")
}

// TestChangeEndsWaiting: nobody waits for what is no longer wanted, and a deletion is such a change.
func TestChangeEndsWaiting(t *testing.T) {
	b := newBench(t)
	b.chart("default", "a", hooked(t, "one"))
	b.hookRuns("one")
	b.chart("default", "a", hooked(t, "two"))
	b.hookEnds("two", "Complete")
	b.is("a", reasonDeployed)
	b.chart("default", "a", hooked(t, "three"))
	b.hookRuns("three")
	b.delete("default/helmcharts/a")
	b.gone("default/helmcharts/a")
	b.gone("default/configmaps/a")
}

// TestStopWhileWaiting: the end of the server breaks a release off, and the next start takes it up.
func TestStopWhileWaiting(t *testing.T) {
	b := newBench(t)
	b.chart("default", "a", hooked(t, "one"))
	b.hookRuns("one")
	b.stop()
	b.delete("default/jobs/hook")
	b.start()
	b.hookEnds("one", "Complete")
	b.is("a", reasonDeployed, "revision 1")
	b.chart("default", "a", hooked(t, "two"))
	b.hookRuns("two")
	b.stop()
	b.delete("default/jobs/hook")
	b.start()
	b.hookEnds("two", "Complete")
	b.is("a", reasonDeployed)
	b.says("default/configmaps/a", "text", "two")
}

func TestOwners(t *testing.T) {
	b := newBench(t)
	content := pack(t, "1.0.0", nil)
	b.set("default/configmaps", object("ConfigMap", "a", map[string]any{"data": map[string]any{"text": "somebody's"}}))
	b.chart("default", "a", map[string]any{"chartContent": content})
	b.is("a", reasonInstall, "spec.takeOwnership")
	b.says("default/configmaps/a", "text", "somebody's")
	b.chart("default", "a", map[string]any{"chartContent": content, "takeOwnership": true})
	b.says("default/configmaps/a", "text", "chart")
	b.is("a", reasonDeployed)

	b.chart("kube-system", "a", map[string]any{"chartContent": content, "targetNamespace": "default"})
	b.chartIs("kube-system", "a", reasonTaken, "default/a")
	b.stop()
	b.set("default/helmcharts", map[string]any{"metadata": map[string]any{"name": "a"}}) // as it is
	b.mu.Lock()
	orphaned := b.objects["default/helmcharts/a"].DeepCopy()
	orphaned.SetFinalizers(nil)
	b.put("DELETED", "default/helmcharts", orphaned)
	b.mu.Unlock()
	b.start()
	b.chartIs("kube-system", "a", reasonDeployed)
}

func TestEventsSayOnce(t *testing.T) {
	b := newBench(t)
	b.chart("default", "a", map[string]any{"chart": "absent.tgz"})
	b.is("a", reasonNoChart)
	time.Sleep(firstPause + firstPause/2) // it was tried again
	b.mu.Lock()
	defer b.mu.Unlock()
	var events, writes int
	for path := range b.objects {
		if strings.HasPrefix(path, "default/events/a.") {
			events++
		}
	}
	for _, call := range b.calls {
		if strings.HasSuffix(call, "/helmcharts/a/status") {
			writes++
		}
	}
	if events != 1 || writes != 1 {
		t.Errorf("there are %d events and %d writes of the status", events, writes)
	}
}

// TestIdle: without objects nothing is asked but what the definitions and one watch need.
func TestIdle(t *testing.T) {
	b := newBench(t)
	time.Sleep(300 * time.Millisecond)
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, call := range b.calls {
		if !strings.Contains(call, "customresourcedefinitions") && call != "GET /apis/helm.cattle.io/v1/helmcharts" {
			t.Errorf("it calls %s", call)
		}
	}
}

func TestPause(t *testing.T) {
	now := time.Now()
	for name, c := range map[string]struct {
		tries, ago int // seconds
		failed     bool
		wait       time.Duration
		over       bool
	}{
		"never tried":      {},
		"once":             {tries: 1, wait: firstRetry},
		"once, half over":  {tries: 1, ago: 10, wait: firstRetry - 10*time.Second},
		"once, long ago":   {tries: 1, ago: 1000},
		"three times":      {tries: 3, wait: 4 * firstRetry},
		"a thousand times": {tries: 1000, wait: longestRetry},
		"given up":         {tries: 2, failed: true, over: true},
	} {
		t.Run(name, func(t *testing.T) {
			at := meta.NewTime(now.Add(-time.Duration(c.ago) * time.Second))
			chart := helmChart{Status: chartStatus{Tried: "sum", Tries: c.tries, LastTry: &at}}
			setCondition(&chart.Status, 0, conditionFailed, c.failed, reasonInstall, "")
			if wait, over := chart.pause("sum", now); wait != c.wait || over != c.over {
				t.Errorf("it waits %v, %v", wait, over)
			}
			if wait, over := chart.pause("other", now); wait != 0 || over {
				t.Errorf("for other inputs it waits %v, %v", wait, over)
			}
			chart.Generation++
			if wait, over := chart.pause("sum", now); wait != 0 || over {
				t.Errorf("for another spec it waits %v, %v", wait, over)
			}
		})
	}
}

func TestLogins(t *testing.T) {
	got, err := logins([]byte(`{"auths": {"https://reg.example/v1/": {"auth": "bWU6c2U6Y3JldA=="}, "other:5000": {"username": "u", "password": "p"}}}`))
	if err != nil || got["reg.example"].Password != "se:cret" || got["reg.example"].Username != "me" || got["other:5000"].Username != "u" {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, bad := range []string{"", "{", `{"auths": {"a": {"auth": "%"}}}`} {
		if _, err := logins([]byte(bad)); err == nil {
			t.Errorf("%q is no error", bad)
		}
	}
}
