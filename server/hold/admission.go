package hold

import (
	"context"
	"fmt"
	"slices"
	"time"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/warning"
	"k8s.io/kubernetes/pkg/apis/apps"
	"k8s.io/kubernetes/pkg/apis/core"
)

// Handles the writes that matter.
func (h *Hold) Handles(o admission.Operation) bool {
	return o == admission.Create || o == admission.Update || o == admission.Delete
}

// Admit pauses a held Deployment in the write that changes it, and has it go on in the one that lifts the hold.
func (h *Hold) Admit(ctx context.Context, w admission.Attributes, _ admission.ObjectInterfaces) error {
	if w.GetResource().GroupResource() != apps.Resource("deployments") || w.GetSubresource() != "" || w.GetOperation() == admission.Delete {
		return nil
	}
	is, ok := w.GetObject().(*apps.Deployment)
	if !ok {
		return nil
	}
	was, ok := w.GetOldObject().(*apps.Deployment)
	if !ok {
		if _, copied := is.Labels[Since]; copied { // of one that was held; a new one has nothing to hold up
			unpause(is)
		}
		return nil
	}
	held, _ := Held(is.Labels, is.Annotations)
	_, ours := was.Labels[Since]
	switch {
	case !held && ours:
		unpause(is)
	case held && ours:
		if !is.Spec.Paused {
			warning.AddWarning(ctx, "", "it stays paused, as "+Key+" says: remove that to have it go on")
		}
		is.Spec.Paused = true
		is.Labels = with(is.Labels, Since, was.Labels[Since])
	case held && !is.Spec.Paused && was.Status.ObservedGeneration > 0: // before that there are no pods to be replaced
		is.Spec.Paused = true
		is.Labels = with(is.Labels, Since, now())
	default:
		delete(is.Labels, Since) // nobody else's
	}
	return nil
}

// unpause has a Deployment go on that we have paused.
func unpause(d *apps.Deployment) {
	delete(d.Labels, Since)
	d.Spec.Paused = false
}

func with(labels map[string]string, key, value string) map[string]string {
	if labels == nil {
		labels = map[string]string{}
	}
	labels[key] = value
	return labels
}

func now() string { return time.Now().UTC().Format(sinceForm) }

// Validate refuses values that mean nothing, and what a rollout deletes of what is held.
func (h *Hold) Validate(ctx context.Context, w admission.Attributes, _ admission.ObjectInterfaces) error {
	switch {
	case w.GetSubresource() != "":
	case w.GetOperation() != admission.Delete:
		return h.sensible(ctx, w)
	case w.GetResource().GroupResource() == core.Resource("pods") && slices.Contains(controllers(), w.GetUserInfo().GetName()):
		if p, ok := w.GetOldObject().(*core.Pod); ok {
			return h.mayDelete(ctx, p, w)
		}
	}
	return nil
}

// controllers are as whom rollouts delete pods.
func controllers() []string {
	const account = "system:serviceaccount:kube-system:"
	return []string{account + "replicaset-controller", account + "daemon-set-controller", account + "statefulset-controller"}
}

func (h *Hold) mayDelete(ctx context.Context, p *core.Pod, w admission.Attributes) error {
	if p.DeletionTimestamp != nil || p.Status.Phase != core.PodRunning {
		return nil // there is nothing to keep
	}
	why, err := h.replaces(ctx, pod{&p.ObjectMeta, p.Spec.NodeName})
	switch {
	case err != nil:
		return err
	case why == "":
		return nil
	}
	if !w.IsDryRun() {
		h.refused(types.NamespacedName{Namespace: p.Namespace, Name: p.Name}, why)
	}
	return admission.NewForbidden(w, fmt.Errorf("%s holds rollouts up", why))
}

// sensible refuses a new value that means nothing. A node that brings one in its settings is told and let in: else it would
// not come up. Who changes a template under a hold is told what becomes of it.
func (h *Hold) sensible(ctx context.Context, w admission.Attributes) error {
	if !holds(w) {
		return nil
	}
	is, err := meta.Accessor(w.GetObject())
	if err != nil {
		return nil
	}
	held, err := Held(is.GetLabels(), is.GetAnnotations())
	before, errBefore := false, error(nil)
	if old := w.GetOldObject(); old != nil {
		if was, err := meta.Accessor(old); err == nil {
			before, errBefore = Held(was.GetLabels(), was.GetAnnotations())
		}
	}
	switch {
	case err == nil && before && !held:
		h.wake()
	case err == nil && held && templateChanges(w):
		warning.AddWarning(ctx, "", "it is held: the new template is stored, and rolled out when "+Key+" is removed")
	case err == nil, errBefore != nil && errBefore.Error() == err.Error():
	case slices.Contains(w.GetUserInfo().GetGroups(), user.NodesGroup):
		warning.AddWarning(ctx, "", err.Error())
	default:
		return invalid(w, is)
	}
	return nil
}

func invalid(w admission.Attributes, is metav1.Object) error {
	value, at := is.GetAnnotations()[Key], field.NewPath("metadata", "annotations").Key(Key)
	if _, annotated := is.GetAnnotations()[Key]; !annotated {
		value, at = is.GetLabels()[Key], field.NewPath("metadata", "labels").Key(Key)
	}
	return apierrors.NewInvalid(w.GetKind().GroupKind(), is.GetName(), field.ErrorList{field.NotSupported(at, value, []string{"true", "false"})})
}

// holds says that a write is of something that can be held.
func holds(w admission.Attributes) bool {
	switch w.GetResource().GroupResource() {
	case core.Resource("nodes"), apps.Resource("deployments"), apps.Resource("statefulsets"), apps.Resource("daemonsets"):
		return true
	}
	return false
}

func templateChanges(w admission.Attributes) bool {
	is, was := template(w.GetObject()), template(w.GetOldObject())
	return is != nil && was != nil && !apiequality.Semantic.DeepEqual(is, was)
}

func template(object any) *core.PodTemplateSpec {
	switch o := object.(type) {
	case *apps.Deployment:
		return &o.Spec.Template
	case *apps.StatefulSet:
		return &o.Spec.Template
	case *apps.DaemonSet:
		return &o.Spec.Template
	}
	return nil
}
