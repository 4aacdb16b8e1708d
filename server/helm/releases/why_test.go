package releases

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	apps "k8s.io/api/apps/v1"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/resource"
	"k8s.io/client-go/kubernetes/fake"
)

func info(kind, name string, object runtime.Object) *resource.Info {
	return &resource.Info{Namespace: "default", Name: name, Object: object,
		Mapping: &apimeta.RESTMapping{GroupVersionKind: schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: kind}}}
}

func pod(name string, status core.PodStatus) *core.Pod {
	return &core.Pod{ObjectMeta: meta.ObjectMeta{Namespace: "default", Name: name, Labels: map[string]string{"app": "web"}}, Status: status}
}

// TestWhy: what a user would look up next is said at once.
func TestWhy(t *testing.T) {
	web := &apps.Deployment{TypeMeta: meta.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"}, ObjectMeta: meta.ObjectMeta{Namespace: "default", Name: "web"},
		Spec: apps.DeploymentSpec{Selector: &meta.LabelSelector{MatchLabels: map[string]string{"app": "web"}}}}
	for want, status := range map[string]core.PodStatus{
		"": {},
		"; container main of web-1: ErrImagePull: no such image": {ContainerStatuses: []core.ContainerStatus{{Name: "main",
			State: core.ContainerState{Waiting: &core.ContainerStateWaiting{Reason: "ErrImagePull", Message: "no such image"}}}}},
		"; container first of web-1: Error: it ended with 3": {InitContainerStatuses: []core.ContainerStatus{{Name: "first",
			State: core.ContainerState{Terminated: &core.ContainerStateTerminated{Reason: "Error", ExitCode: 3}}}}},
		"; web-1: no node has room": {Conditions: []core.PodCondition{{Type: core.PodScheduled, Status: core.ConditionFalse, Message: "no node has room"}}},
	} {
		c := cluster{typed: fake.NewClientset(pod("web-1", status)), ctx: t.Context()}
		if got := c.why(info("Deployment", "web", web)); got != want {
			t.Errorf("it says %q, not %q", got, want)
		}
	}
}

// TestWaits: for workloads and hooks to be as they shall be, for their failure, for the time to be over, or for the end.
func TestWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		client := fake.NewClientset(pod("good", core.PodStatus{Phase: core.PodSucceeded}), pod("bad", core.PodStatus{Phase: core.PodFailed, Reason: "Evicted"}),
			pod("slow", core.PodStatus{Phase: core.PodRunning}),
			&batch.Job{ObjectMeta: meta.ObjectMeta{Namespace: "default", Name: "slow"}, Status: batch.JobStatus{Active: 2}})
		c := cluster{typed: client, ctx: ctx}
		ends := func(want string, wait time.Duration, do func() error) {
			t.Helper()
			began, got := time.Now(), ""
			if err := do(); err != nil {
				got = err.Error()
			}
			if took := time.Since(began); got != want || took != wait {
				t.Errorf("it ends with %q after %v, not with %q after %v", got, took, want, wait)
			}
		}
		hook := func(kind, name string) func() error {
			return func() error { return c.WatchUntilReady([]*resource.Info{info(kind, name, nil)}, time.Minute) }
		}
		ends("", 0, hook("Pod", "good"))
		ends("", 0, hook("ConfigMap", "any"))
		ends("the hook Pod bad: the Pod failed: Evicted", 0, hook("Pod", "bad"))
		ends("the hook Pod slow: after 1m0s: the Pod is Running", time.Minute, hook("Pod", "slow"))
		ends("the hook Job slow: after 1m0s: 2 of its pods run and 0 failed", time.Minute, hook("Job", "slow"))
		ends("", 0, func() error {
			return c.Wait([]*resource.Info{info("DaemonSet", "a", nil), info("Service", "a", nil)}, time.Minute)
		})
		time.AfterFunc(5*time.Second, func() { cancel(errors.New("another spec")) })
		ends("the hook Pod slow: another spec", 5*time.Second, hook("Pod", "slow"))
	})
}
