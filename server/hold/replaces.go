package hold

import (
	"context"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// pod is what decides of a pod, in whichever form it comes.
type pod struct {
	*meta.ObjectMeta
	node string
}

// replaces says what holds a running pod of an older template that its controller wants to delete: "node far" or
// "DaemonSet shop/web"; "" when nothing does, or when it is no rollout that the deletion is for.
func (h *Hold) replaces(ctx context.Context, p pod) (string, error) {
	owner := meta.GetControllerOf(p)
	if owner == nil {
		return "", nil
	}
	var why string
	var err error
	switch owner.Kind {
	case "ReplicaSet":
		why, err = h.ofReplicaSet(ctx, p, owner.Name)
	case "DaemonSet":
		why, err = h.ofDaemonSet(ctx, p, owner.Name)
	case "StatefulSet":
		why, err = h.ofStatefulSet(ctx, p, owner.Name)
	}
	if apierrors.IsNotFound(err) {
		return "", nil // whose pods nobody replaces any more
	}
	return why, err
}

// by names what holds: the node first.
func (h *Hold) by(p pod, kind string, workload *meta.ObjectMeta) string {
	if h.nodeHeld(p.node) {
		return "node " + p.node
	}
	if workload == nil {
		return ""
	}
	if held, _ := Held(workload.Labels, workload.Annotations); held {
		return kind + " " + workload.Namespace + "/" + workload.Name
	}
	return ""
}

// ofReplicaSet: a ReplicaSet deletes pods when there are fewer of them to be. That is a rollout when it belongs to a Deployment
// with another template. A held Deployment is paused and makes none.
func (h *Hold) ofReplicaSet(ctx context.Context, p pod, name string) (string, error) {
	why := h.by(p, "", nil)
	if why == "" {
		return "", nil
	}
	set, err := h.client.AppsV1().ReplicaSets(p.Namespace).Get(ctx, name, meta.GetOptions{})
	if err != nil {
		return "", err
	}
	owner := meta.GetControllerOf(set)
	if owner == nil || owner.Kind != "Deployment" {
		return "", nil
	}
	d, err := h.client.AppsV1().Deployments(p.Namespace).Get(ctx, owner.Name, meta.GetOptions{})
	if err != nil {
		return "", err
	}
	if d.DeletionTimestamp != nil || d.Spec.Replicas != nil && *d.Spec.Replicas == 0 || sameTemplate(set, d) {
		return "", nil
	}
	return why, nil
}

// sameTemplate says that a ReplicaSet is the one that its Deployment wants now.
func sameTemplate(set *appsv1.ReplicaSet, d *appsv1.Deployment) bool {
	plain := set.Spec.Template.DeepCopy()
	delete(plain.Labels, appsv1.DefaultDeploymentUniqueLabelKey)
	wanted := d.Spec.Template.DeepCopy()
	delete(wanted.Labels, appsv1.DefaultDeploymentUniqueLabelKey)
	return apiequality.Semantic.DeepEqual(plain, wanted)
}

// ofDaemonSet: pods say of which generation of the template they are.
func (h *Hold) ofDaemonSet(ctx context.Context, p pod, name string) (string, error) {
	set, err := h.client.AppsV1().DaemonSets(p.Namespace).Get(ctx, name, meta.GetOptions{})
	if err != nil {
		return "", err
	}
	why := h.by(p, "DaemonSet", &set.ObjectMeta)
	if why == "" || set.DeletionTimestamp != nil {
		return "", nil
	}
	if p.Labels["pod-template-generation"] == set.Annotations[appsv1.DeprecatedTemplateGeneration] {
		return "", nil // the newest: the node is not to have one any more
	}
	return why, nil
}

// ofStatefulSet: the highest pods go when there are fewer to be; of the others only older ones are deleted while they run.
func (h *Hold) ofStatefulSet(ctx context.Context, p pod, name string) (string, error) {
	set, err := h.client.AppsV1().StatefulSets(p.Namespace).Get(ctx, name, meta.GetOptions{})
	if err != nil {
		return "", err
	}
	why := h.by(p, "StatefulSet", &set.ObjectMeta)
	if why == "" || set.DeletionTimestamp != nil || surplus(p.Name, set) {
		return "", nil
	}
	known := set.Status.ObservedGeneration == set.Generation // else the status is of an earlier template
	if known && p.Labels[appsv1.StatefulSetRevisionLabel] == set.Status.UpdateRevision {
		return "", nil
	}
	return why, nil
}

// surplus says that a pod's number is beyond those that a StatefulSet is to have.
func surplus(name string, set *appsv1.StatefulSet) bool {
	ordinal, err := strconv.Atoi(name[strings.LastIndex(name, "-")+1:])
	first, count := 0, 1
	if set.Spec.Ordinals != nil {
		first = int(set.Spec.Ordinals.Start)
	}
	if set.Spec.Replicas != nil {
		count = int(*set.Spec.Replicas)
	}
	return err == nil && (ordinal < first || ordinal >= first+count)
}
