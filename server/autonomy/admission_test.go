package autonomy

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/kubernetes/pkg/apis/core"
)

var (
	controller = &user.DefaultInfo{Name: nodeController}
	admin      = &user.DefaultInfo{Name: "system:admin", Groups: []string{"system:masters"}}
	kubelet    = &user.DefaultInfo{Name: "system:node:far", Groups: []string{"system:nodes"}}
)

func aNode(value string, ready v1.ConditionStatus, taints ...v1.Taint) *v1.Node {
	n := &v1.Node{ObjectMeta: meta.ObjectMeta{Name: "far"}, Spec: v1.NodeSpec{Taints: taints}, Status: v1.NodeStatus{Conditions: []v1.NodeCondition{
		{Type: v1.NodeReady, Status: ready, LastTransitionTime: meta.Now()}}}}
	if value != "" {
		n.Labels = map[string]string{Key: value}
	}
	return n
}

func internal(n *v1.Node) *core.Node {
	made := &core.Node{ObjectMeta: *n.ObjectMeta.DeepCopy()}
	for _, taint := range n.Spec.Taints {
		made.Spec.Taints = append(made.Spec.Taints, core.Taint{Key: taint.Key, Effect: core.TaintEffect(taint.Effect)})
	}
	for _, c := range n.Status.Conditions {
		made.Status.Conditions = append(made.Status.Conditions, core.NodeCondition{Type: core.NodeConditionType(c.Type), Status: core.ConditionStatus(c.Status), LastTransitionTime: c.LastTransitionTime})
	}
	return made
}

func evicts(key string) v1.Taint { return v1.Taint{Key: key, Effect: v1.TaintEffectNoExecute} }

func write(is, was runtime.Object, resource, subresource string, o admission.Operation, by user.Info) admission.Attributes {
	return admission.NewAttributesRecord(is, was, v1.SchemeGroupVersion.WithKind("X"), "default", "far",
		v1.SchemeGroupVersion.WithResource(resource), subresource, o, nil, false, by)
}

func plugin(objects ...runtime.Object) (*Autonomy, *fake.Clientset) {
	client := fake.NewClientset(objects...)
	a := New(slog.New(slog.DiscardHandler))
	a.born = time.Now().Add(-time.Hour)
	a.SetExternalKubeClientSet(client)
	return a, client
}

func TestTheTaintNeverComes(t *testing.T) {
	away, other := evicts(v1.TaintNodeUnreachable), evicts("maintenance")
	for name, c := range map[string]struct {
		was, is *v1.Node
		want    string // taints that stay
	}{
		"of a covered node":          {aNode("always", v1.ConditionUnknown), aNode("always", v1.ConditionUnknown, away, other), "maintenance"},
		"of any other":               {aNode("", v1.ConditionUnknown), aNode("", v1.ConditionUnknown, away), v1.TaintNodeUnreachable},
		"with a value of no sense":   {aNode("soon", v1.ConditionUnknown), aNode("soon", v1.ConditionUnknown, away), v1.TaintNodeUnreachable},
		"of one that is there":       {aNode("always", v1.ConditionTrue), aNode("always", v1.ConditionTrue, away), v1.TaintNodeUnreachable},
		"with the write that covers": {aNode("", v1.ConditionUnknown, away), aNode("1h", v1.ConditionUnknown, away), ""},
		"with the write that ends":   {aNode("1h", v1.ConditionUnknown), aNode("", v1.ConditionUnknown, away), v1.TaintNodeUnreachable},
		"by a claimed status":        {aNode("always", v1.ConditionTrue), aNode("always", v1.ConditionUnknown, away), v1.TaintNodeUnreachable},
	} {
		a, _ := plugin()
		is := internal(c.is)
		if err := a.Admit(t.Context(), write(is, internal(c.was), "nodes", "", admission.Update, controller), nil); err != nil {
			t.Fatal(err)
		}
		var left []string
		for _, taint := range is.Spec.Taints {
			left = append(left, taint.Key)
		}
		if got := strings.Join(left, " "); got != c.want {
			t.Errorf("%s: %q stays, want %q", name, got, c.want)
		}
	}
	a, _ := plugin()
	is := internal(aNode("always", v1.ConditionUnknown))
	is.Spec.Taints = []core.Taint{{Key: v1.TaintNodeUnreachable, Effect: core.TaintEffectNoSchedule}}
	if err := a.Admit(t.Context(), write(is, internal(aNode("always", v1.ConditionUnknown)), "nodes", "", admission.Update, controller), nil); err != nil || len(is.Spec.Taints) != 1 {
		t.Errorf("the taint that keeps new pods off is gone: %v", err)
	}
}

func pod(ready core.ConditionStatus, more ...core.PodCondition) *core.Pod {
	return &core.Pod{ObjectMeta: meta.ObjectMeta{Name: "web", Namespace: "default"}, Spec: core.PodSpec{NodeName: "far"},
		Status: core.PodStatus{Conditions: append([]core.PodCondition{{Type: core.PodReady, Status: ready, LastTransitionTime: meta.Unix(1000, 0)}}, more...)}}
}

func TestPodsStayReady(t *testing.T) {
	for name, c := range map[string]struct {
		node *v1.Node
		by   user.Info
		was  core.ConditionStatus
		want core.ConditionStatus
	}{
		"of a covered node":            {aNode("always", v1.ConditionUnknown), controller, core.ConditionTrue, core.ConditionTrue},
		"of any other":                 {aNode("", v1.ConditionUnknown), controller, core.ConditionTrue, core.ConditionFalse},
		"of one that says it is ill":   {aNode("always", v1.ConditionFalse), controller, core.ConditionTrue, core.ConditionFalse},
		"of one that is gone":          {nil, controller, core.ConditionTrue, core.ConditionFalse},
		"when its kubelet says so":     {aNode("always", v1.ConditionUnknown), kubelet, core.ConditionTrue, core.ConditionFalse},
		"when it was not ready at all": {aNode("always", v1.ConditionUnknown), controller, core.ConditionFalse, core.ConditionFalse},
	} {
		var objects []runtime.Object
		if c.node != nil {
			objects = append(objects, c.node)
		}
		a, _ := plugin(objects...)
		was, is := pod(c.was), pod(core.ConditionFalse)
		is.Status.Conditions[0].LastTransitionTime = meta.Now()
		if err := a.Admit(t.Context(), write(is, was, "pods", "status", admission.Update, c.by), nil); err != nil {
			t.Fatal(err)
		}
		if got := is.Status.Conditions[0]; got.Status != c.want || c.want == core.ConditionTrue && got != was.Status.Conditions[0] {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestEvictionIsRefused(t *testing.T) {
	mark := core.PodCondition{Type: core.DisruptionTarget, Status: core.ConditionTrue, Reason: byTaint}
	for name, c := range map[string]struct {
		node    *v1.Node
		by      user.Info
		refused bool
	}{
		"of a covered node's pod":             {aNode("always", v1.ConditionUnknown, evicts(v1.TaintNodeUnreachable)), controller, true},
		"by older knowledge":                  {aNode("12h", v1.ConditionUnknown), controller, true},
		"not of any other":                    {aNode("", v1.ConditionUnknown, evicts(v1.TaintNodeUnreachable)), controller, false},
		"not of one whose node is there":      {aNode("always", v1.ConditionFalse, evicts(v1.TaintNodeNotReady)), controller, false},
		"not for a taint of the user's":       {aNode("always", v1.ConditionUnknown, evicts("maintenance")), controller, false},
		"not when a user deletes it":          {aNode("always", v1.ConditionUnknown), admin, false},
		"not when its node does not exist":    {nil, controller, false},
		"not with a value that means nothing": {aNode("soon", v1.ConditionUnknown), controller, false},
	} {
		var objects []runtime.Object
		if c.node != nil {
			objects = append(objects, c.node)
		}
		a, _ := plugin(objects...)
		for what, w := range map[string]admission.Attributes{
			"deleted": write(nil, pod(core.ConditionTrue), "pods", "", admission.Delete, c.by),
			"marked":  write(pod(core.ConditionTrue, mark), pod(core.ConditionTrue), "pods", "status", admission.Update, c.by),
		} {
			err := a.Validate(t.Context(), w, nil)
			if apierrors.IsForbidden(err) != c.refused || err != nil && !c.refused {
				t.Errorf("%s, %s: %v", name, what, err)
			}
		}
	}
}

// TestWhatCannotBeReadIsNotEvicted: the datastore may be slow to answer; the controller tries again.
func TestWhatCannotBeReadIsNotEvicted(t *testing.T) {
	a, client := plugin()
	client.PrependReactor("get", "nodes", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, errors.New("slow") })
	if err := a.Validate(t.Context(), write(nil, pod(core.ConditionTrue), "pods", "", admission.Delete, controller), nil); err == nil {
		t.Error("the pod is evicted")
	}
	if err := a.Admit(t.Context(), write(pod(core.ConditionFalse), pod(core.ConditionTrue), "pods", "status", admission.Update, controller), nil); err == nil {
		t.Error("the pod is not ready")
	}
}

func TestValuesThatMeanNothing(t *testing.T) {
	for name, c := range map[string]struct {
		was, is string
		by      user.Info
		refused bool
	}{
		"a good one":                     {"", "always", admin, false},
		"a bad one":                      {"", "soon", admin, true},
		"a bad one for a good one":       {"1h", "1", admin, true},
		"a bad one that was there":       {"soon", "soon", admin, false},
		"another bad one":                {"soon", "later", admin, true},
		"a bad one that a node comes by": {"", "soon", kubelet, false},
	} {
		a, _ := plugin()
		for _, o := range []admission.Operation{admission.Create, admission.Update} {
			var was runtime.Object
			if o == admission.Update {
				was = internal(aNode(c.was, v1.ConditionTrue))
			} else if c.was != "" {
				continue
			}
			err := a.Validate(context.Background(), write(internal(aNode(c.is, v1.ConditionTrue)), was, "nodes", "", o, c.by), nil)
			if apierrors.IsInvalid(err) != c.refused || err != nil && !strings.Contains(err.Error(), Key) {
				t.Errorf("%s, %s: %v", name, o, err)
			}
		}
	}
}
