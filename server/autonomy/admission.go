package autonomy

import (
	"context"
	"fmt"
	"slices"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/warning"
	"k8s.io/kubernetes/pkg/apis/core"
)

const (
	// Plugin is the name under which the API server knows it, for example in disable-admission-plugins.
	Plugin = "SkerryAutonomy"
	// nodeController is as whom both controllers act that give up a silent node: the one that taints it and calls its pods
	// not ready, and the one that evicts them.
	nodeController = "system:serviceaccount:kube-system:node-controller"
	// byTaint is the reason in the condition that the latter sets on a pod before it deletes it.
	byTaint = "DeletionByTaintManager"
)

// Handles the writes that matter.
func (a *Autonomy) Handles(o admission.Operation) bool {
	return o == admission.Create || o == admission.Update || o == admission.Delete
}

// Admit takes the taint that evicts off a covered Node, in whatever write it comes, also in the one that makes it covered; and
// leaves the pods of a covered Node ready.
func (a *Autonomy) Admit(ctx context.Context, w admission.Attributes, _ admission.ObjectInterfaces) error {
	switch {
	case isNode(w) && w.GetOperation() != admission.Delete:
		if n, ok := w.GetObject().(*core.Node); ok {
			a.keepUntainted(n, w)
		}
	case isPodStatus(w) && w.GetUserInfo().GetName() == nodeController:
		was, ok := w.GetOldObject().(*core.Pod)
		is, also := w.GetObject().(*core.Pod)
		if ok && also {
			return a.keepReady(ctx, was, is)
		}
	}
	return nil
}

// keepUntainted drops the taint by which pods of a silent node are evicted.
func (a *Autonomy) keepUntainted(n *core.Node, w admission.Attributes) {
	r, _ := RuleOf(n.Labels, n.Annotations)
	status := n.Status
	if was, ok := w.GetOldObject().(*core.Node); ok {
		status = was.Status // an update of the Node leaves it
	}
	if !a.covers(r, absenceIn(status)) {
		return
	}
	n.Spec.Taints = slices.DeleteFunc(n.Spec.Taints, func(t core.Taint) bool {
		return t.Key == v1.TaintNodeUnreachable && t.Effect == core.TaintEffectNoExecute
	})
}

func absenceIn(s core.NodeStatus) absence {
	for _, c := range s.Conditions {
		if c.Type == core.NodeReady {
			return absence{c.Status == core.ConditionUnknown, c.LastTransitionTime.Time}
		}
	}
	return absence{}
}

// keepReady undoes that a pod of a covered Node is called not ready. It cannot be refused: the controller would try again every
// five seconds for as long as the node is away.
func (a *Autonomy) keepReady(ctx context.Context, was, is *core.Pod) error {
	before, after := ready(was), ready(is)
	if before < 0 || after < 0 || was.Status.Conditions[before].Status != core.ConditionTrue || is.Status.Conditions[after].Status == core.ConditionTrue {
		return nil
	}
	n, err := a.look(ctx, was.Spec.NodeName)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if a.covers(n.Rule, n.absence) {
		is.Status.Conditions[after] = was.Status.Conditions[before]
	}
	return nil
}

// ready is where among a pod's conditions that one is, or -1.
func ready(p *core.Pod) int {
	return slices.IndexFunc(p.Status.Conditions, func(c core.PodCondition) bool { return c.Type == core.PodReady })
}

// Validate refuses values that mean nothing, and the eviction of a covered Node's pods.
func (a *Autonomy) Validate(ctx context.Context, w admission.Attributes, _ admission.ObjectInterfaces) error {
	byController := w.GetUserInfo().GetName() == nodeController
	switch {
	case isNode(w) && w.GetOperation() != admission.Delete:
		return sensible(ctx, w)
	case isPod(w) && w.GetOperation() == admission.Delete && byController:
		if p, ok := w.GetOldObject().(*core.Pod); ok {
			return a.mayEvict(ctx, p, w)
		}
	case isPodStatus(w) && byController:
		was, ok := w.GetOldObject().(*core.Pod)
		is, also := w.GetObject().(*core.Pod)
		if ok && also && !marked(was) && marked(is) {
			return a.mayEvict(ctx, is, w)
		}
	}
	return nil
}

// marked says that a pod is about to be deleted because of a taint.
func marked(p *core.Pod) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c core.PodCondition) bool { return c.Reason == byTaint && c.Status == core.ConditionTrue })
}

// mayEvict is the last word where the evicting controller knows less than is stored: its timers may be older than the Rule. A
// taint of the user's own evicts as ever.
func (a *Autonomy) mayEvict(ctx context.Context, p *core.Pod, w admission.Attributes) error {
	n, err := a.look(ctx, p.Spec.NodeName)
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return err
	case a.covers(n.Rule, n.absence) && n.onlyAway():
		return admission.NewForbidden(w, fmt.Errorf("node %s is away and keeps its pods, as %s says", p.Spec.NodeName, Key))
	}
	return nil
}

// sensible refuses a new value that means nothing. A node that brings one in its settings is told and let in: else it would
// not come up.
func sensible(ctx context.Context, w admission.Attributes) error {
	n, ok := w.GetObject().(*core.Node)
	if !ok {
		return nil
	}
	_, err := RuleOf(n.Labels, n.Annotations)
	if err == nil {
		return nil
	}
	if was, ok := w.GetOldObject().(*core.Node); ok {
		if _, before := RuleOf(was.Labels, was.Annotations); before != nil && before.Error() == err.Error() {
			return nil
		}
	}
	if slices.Contains(w.GetUserInfo().GetGroups(), user.NodesGroup) {
		warning.AddWarning(ctx, "", err.Error())
		return nil
	}
	value, at := n.Annotations[Key], field.NewPath("metadata", "annotations").Key(Key)
	if _, annotated := n.Annotations[Key]; !annotated {
		value, at = n.Labels[Key], field.NewPath("metadata", "labels").Key(Key)
	}
	return apierrors.NewInvalid(v1.SchemeGroupVersion.WithKind("Node").GroupKind(), n.Name,
		field.ErrorList{field.Invalid(at, value, "say how long its pods stay while the node is away, as in 45m, 12h or 7d, or always")})
}

func isNode(w admission.Attributes) bool {
	return w.GetResource().GroupResource() == core.Resource("nodes") && w.GetSubresource() == ""
}

func isPod(w admission.Attributes) bool {
	return w.GetResource().GroupResource() == core.Resource("pods") && w.GetSubresource() == ""
}

func isPodStatus(w admission.Attributes) bool {
	return w.GetResource().GroupResource() == core.Resource("pods") && w.GetSubresource() == "status" && w.GetOperation() == admission.Update
}
