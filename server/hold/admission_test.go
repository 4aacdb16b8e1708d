package hold

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/warning"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/kubernetes/pkg/apis/apps"
	"k8s.io/kubernetes/pkg/apis/core"
)

const account = "system:serviceaccount:kube-system:"

func as(name string) user.Info { return &user.DefaultInfo{Name: name} }

// plugin knows these objects; its list of Nodes is complete.
func plugin(t *testing.T, objects ...runtime.Object) (*Hold, *fake.Clientset) {
	t.Helper()
	client := fake.NewClientset(objects...)
	h := New(slog.New(slog.DiscardHandler))
	h.SetExternalKubeClientSet(client)
	known := informers.NewSharedInformerFactory(client, 0)
	h.SetExternalKubeInformerFactory(known)
	for _, o := range objects {
		if n, ok := o.(*v1.Node); ok {
			if err := known.Core().V1().Nodes().Informer().GetStore().Add(n); err != nil {
				t.Fatal(err)
			}
		}
	}
	return h, client
}

func write(is, was runtime.Object, resource schema.GroupResource, o admission.Operation, by user.Info) admission.Attributes {
	return admission.NewAttributesRecord(is, was, schema.GroupVersionKind{Group: resource.Group, Version: "v1", Kind: "X"}, "shop", "web",
		resource.WithVersion("v1"), "", o, nil, false, by)
}

// deployment is one that its controller has seen.
func deployment(hold, since string, paused bool, image string) *apps.Deployment {
	d := &apps.Deployment{ObjectMeta: meta.ObjectMeta{Name: "web", Annotations: map[string]string{}, Labels: map[string]string{}}, Status: apps.DeploymentStatus{ObservedGeneration: 1}}
	d.Spec.Paused = paused
	d.Spec.Template.Spec.Containers = []core.Container{{Image: image}}
	if hold != "" {
		d.Annotations[Key] = hold
	}
	if since != "" {
		d.Labels[Since] = since
	}
	return d
}

func TestHeldDeploymentsArePaused(t *testing.T) {
	fresh := deployment("true", "", false, "a")
	fresh.Status.ObservedGeneration = 0
	const then = "2026-11-21T08.00.00Z"
	for name, c := range map[string]struct {
		was, is *apps.Deployment
		paused  bool
		since   string // "now" for any other than then
	}{
		"a new template under a hold":         {deployment("true", "", false, "a"), deployment("true", "", false, "b"), true, "now"},
		"the hold with the template":          {deployment("", "", false, "a"), deployment("true", "", false, "b"), true, "now"},
		"while it is held":                    {deployment("true", then, true, "a"), deployment("true", then, true, "b"), true, then},
		"replaced as a whole":                 {deployment("true", then, true, "a"), deployment("true", "", false, "b"), true, then},
		"resumed under the hold":              {deployment("true", then, true, "a"), deployment("true", then, false, "a"), true, then},
		"lifted":                              {deployment("true", then, true, "a"), deployment("", then, true, "a"), false, ""},
		"lifted by false":                     {deployment("true", then, true, "a"), deployment("false", then, true, "a"), false, ""},
		"lifted by another file":              {deployment("true", then, true, "a"), deployment("", "", true, "a"), false, ""},
		"paused by its user":                  {deployment("", "", true, "a"), deployment("true", "", true, "b"), true, ""},
		"paused by its user, and lifted":      {deployment("true", "", true, "a"), deployment("", "", true, "a"), true, ""},
		"never held":                          {deployment("", "", false, "a"), deployment("", "", false, "b"), false, ""},
		"a mark that is not ours":             {deployment("", "", true, "a"), deployment("", then, true, "a"), true, ""},
		"before there are pods":               {fresh, deployment("true", "", false, "b"), false, ""},
		"a new one":                           {nil, deployment("true", "", false, "a"), false, ""},
		"a new one, copied from one held":     {nil, deployment("true", then, true, "a"), false, ""},
		"a new one that its user has paused":  {nil, deployment("true", "", true, "a"), true, ""},
		"a value that means nothing holds no": {deployment("yes", "", false, "a"), deployment("yes", "", false, "b"), false, ""},
	} {
		h, _ := plugin(t)
		var was runtime.Object
		o := admission.Create
		if c.was != nil {
			was, o = c.was, admission.Update
		}
		if err := h.Admit(t.Context(), write(c.is, was, apps.Resource("deployments"), o, as("user")), nil); err != nil {
			t.Fatal(err)
		}
		since, marked := c.is.Labels[Since]
		if c.since == "now" {
			if at, err := time.Parse(sinceForm, since); err != nil || time.Since(at) > time.Minute {
				t.Errorf("%s: since %q", name, since)
			}
			since = "now"
		}
		if c.is.Spec.Paused != c.paused || since != c.since || marked != (c.since != "") {
			t.Errorf("%s: paused %t, since %q", name, c.is.Spec.Paused, since)
		}
	}
}

func node(held string) *v1.Node {
	n := &v1.Node{ObjectMeta: meta.ObjectMeta{Name: "far"}}
	if held != "" {
		n.Labels = map[string]string{Key: held}
	}
	return n
}

func owned(kind string, labels map[string]string, name string) *core.Pod {
	yes := true
	return &core.Pod{ObjectMeta: meta.ObjectMeta{Name: name, Namespace: "shop", Labels: labels, OwnerReferences: []meta.OwnerReference{{Kind: kind, Name: "web", Controller: &yes}}},
		Spec: core.PodSpec{NodeName: "far"}, Status: core.PodStatus{Phase: core.PodRunning}}
}

func of(image string, labels map[string]string) v1.PodTemplateSpec {
	return v1.PodTemplateSpec{ObjectMeta: meta.ObjectMeta{Labels: labels}, Spec: v1.PodSpec{Containers: []v1.Container{{Image: image}}}}
}

func objectMeta(hold string) meta.ObjectMeta {
	m := meta.ObjectMeta{Name: "web", Namespace: "shop", Generation: 2}
	if hold != "" {
		m.Annotations = map[string]string{Key: hold}
	}
	return m
}

func replicaSet(image string) *appsv1.ReplicaSet {
	yes := true
	set := &appsv1.ReplicaSet{ObjectMeta: objectMeta(""), Spec: appsv1.ReplicaSetSpec{Template: of(image, map[string]string{"pod-template-hash": "x"})}}
	set.OwnerReferences = []meta.OwnerReference{{Kind: "Deployment", Name: "web", Controller: &yes}}
	return set
}

func deploy(image string, replicas int32) *appsv1.Deployment {
	return &appsv1.Deployment{ObjectMeta: objectMeta(""), Spec: appsv1.DeploymentSpec{Replicas: &replicas, Template: of(image, nil)}}
}

func daemons(hold, generation string) *appsv1.DaemonSet {
	set := &appsv1.DaemonSet{ObjectMeta: objectMeta(hold)}
	if set.Annotations == nil {
		set.Annotations = map[string]string{}
	}
	set.Annotations[appsv1.DeprecatedTemplateGeneration] = generation
	return set
}

func stateful(hold, revision string, observed int64) *appsv1.StatefulSet {
	two := int32(2)
	return &appsv1.StatefulSet{ObjectMeta: objectMeta(hold), Spec: appsv1.StatefulSetSpec{Replicas: &two},
		Status: appsv1.StatefulSetStatus{UpdateRevision: revision, ObservedGeneration: observed}}
}

func TestWhatARolloutMayDelete(t *testing.T) {
	second, first := map[string]string{"pod-template-generation": "2"}, map[string]string{"pod-template-generation": "1"}
	revision := map[string]string{appsv1.StatefulSetRevisionLabel: "web-1"}
	bare := replicaSet("b")
	bare.OwnerReferences = nil
	dead := owned("DaemonSet", first, "web-x")
	dead.Status.Phase = core.PodFailed
	going := owned("DaemonSet", first, "web-x")
	going.DeletionTimestamp = &meta.Time{}
	for name, c := range map[string]struct {
		by      string
		pod     *core.Pod
		objects []runtime.Object
		refused string
	}{
		"of a Deployment on a held node":        {"replicaset-controller", owned("ReplicaSet", nil, "web-x"), []runtime.Object{node("true"), replicaSet("a"), deploy("b", 3)}, "node far"},
		"on another node":                       {"replicaset-controller", owned("ReplicaSet", nil, "web-x"), []runtime.Object{node(""), replicaSet("a"), deploy("b", 3)}, ""},
		"when there shall be fewer":             {"replicaset-controller", owned("ReplicaSet", nil, "web-x"), []runtime.Object{node("true"), replicaSet("b"), deploy("b", 3)}, ""},
		"when there shall be none":              {"replicaset-controller", owned("ReplicaSet", nil, "web-x"), []runtime.Object{node("true"), replicaSet("a"), deploy("b", 0)}, ""},
		"without a Deployment":                  {"replicaset-controller", owned("ReplicaSet", nil, "web-x"), []runtime.Object{node("true"), bare}, ""},
		"of a Deployment that is gone":          {"replicaset-controller", owned("ReplicaSet", nil, "web-x"), []runtime.Object{node("true"), replicaSet("a")}, ""},
		"of a DaemonSet on a held node":         {"daemon-set-controller", owned("DaemonSet", first, "web-x"), []runtime.Object{node("true"), daemons("", "2")}, "node far"},
		"of a held DaemonSet":                   {"daemon-set-controller", owned("DaemonSet", first, "web-x"), []runtime.Object{node(""), daemons("true", "2")}, "DaemonSet shop/web"},
		"of another":                            {"daemon-set-controller", owned("DaemonSet", first, "web-x"), []runtime.Object{node(""), daemons("", "2")}, ""},
		"the newest of a held DaemonSet":        {"daemon-set-controller", owned("DaemonSet", second, "web-x"), []runtime.Object{node("true"), daemons("true", "2")}, ""},
		"one that failed":                       {"daemon-set-controller", dead, []runtime.Object{node("true"), daemons("true", "2")}, ""},
		"one that is ending":                    {"daemon-set-controller", going, []runtime.Object{node("true"), daemons("true", "2")}, ""},
		"by a person":                           {"someone", owned("DaemonSet", first, "web-x"), []runtime.Object{node("true"), daemons("true", "2")}, ""},
		"of a held StatefulSet":                 {"statefulset-controller", owned("StatefulSet", revision, "web-1"), []runtime.Object{node(""), stateful("true", "web-2", 2)}, "StatefulSet shop/web"},
		"of a StatefulSet on a held node":       {"statefulset-controller", owned("StatefulSet", revision, "web-1"), []runtime.Object{node("true"), stateful("", "web-2", 2)}, "node far"},
		"before its status says so":             {"statefulset-controller", owned("StatefulSet", revision, "web-1"), []runtime.Object{node(""), stateful("true", "web-1", 1)}, "StatefulSet shop/web"},
		"the newest of a held StatefulSet":      {"statefulset-controller", owned("StatefulSet", revision, "web-1"), []runtime.Object{node(""), stateful("true", "web-1", 2)}, ""},
		"beyond what a StatefulSet shall have":  {"statefulset-controller", owned("StatefulSet", revision, "web-2"), []runtime.Object{node("true"), stateful("true", "web-2", 2)}, ""},
		"of a held one with a bad value":        {"daemon-set-controller", owned("DaemonSet", first, "web-x"), []runtime.Object{node("yes"), daemons("1", "2")}, ""},
		"on a node of which nothing is known":   {"daemon-set-controller", owned("DaemonSet", first, "web-x"), []runtime.Object{daemons("", "2")}, ""},
		"of something else that has controlled": {"replicaset-controller", owned("Job", nil, "web-x"), []runtime.Object{node("true")}, ""},
	} {
		h, _ := plugin(t, c.objects...)
		by := account + c.by
		if c.by == "someone" {
			by = c.by
		}
		err := h.Validate(t.Context(), write(nil, c.pod, core.Resource("pods"), admission.Delete, as(by)), nil)
		if apierrors.IsForbidden(err) != (c.refused != "") || err != nil && !strings.Contains(err.Error(), c.refused+" holds") {
			t.Errorf("%s: %v", name, err)
		}
		if refused := len(h.takeRefused()) == 1; refused != (c.refused != "") {
			t.Errorf("%s: noted is %t", name, refused)
		}
	}
}

func TestValues(t *testing.T) {
	for name, c := range map[string]struct {
		was, is string
		by      user.Info
		refused bool
	}{
		"good":                  {"", "true", as("user"), false},
		"bad":                   {"", "yes", as("user"), true},
		"empty":                 {"true", "", as("user"), false},
		"bad as before":         {"yes", "yes", as("user"), false},
		"bad, but a node's own": {"", "yes", &user.DefaultInfo{Name: "system:node:far", Groups: []string{"system:nodes"}}, false},
	} {
		h, _ := plugin(t)
		err := h.Validate(t.Context(), write(deployment(c.is, "", false, "a"), deployment(c.was, "", false, "a"), apps.Resource("deployments"), admission.Update, c.by), nil)
		if apierrors.IsInvalid(err) != c.refused || err != nil && !strings.Contains(err.Error(), Key) {
			t.Errorf("%s: %v", name, err)
		}
	}
	h, _ := plugin(t)
	other := &core.ConfigMap{ObjectMeta: meta.ObjectMeta{Annotations: map[string]string{Key: "yes"}}}
	if err := h.Validate(t.Context(), write(other, nil, core.Resource("configmaps"), admission.Create, as("user")), nil); err != nil {
		t.Errorf("of something that cannot be held: %v", err)
	}
}

type warnings []string

func (w *warnings) AddWarning(_, text string) { *w = append(*w, text) }

func TestWhoChangesATemplateUnderAHoldIsTold(t *testing.T) {
	var told warnings
	ctx := warning.WithWarningRecorder(context.Background(), &told)
	h, _ := plugin(t)
	w := write(deployment("true", "", true, "b"), deployment("true", "", true, "a"), apps.Resource("deployments"), admission.Update, as("user"))
	if err := h.Validate(ctx, w, nil); err != nil || len(told) != 1 || !strings.Contains(told[0], "stored") {
		t.Errorf("%v, %v", told, err)
	}
}
