package netpol

import (
	"context"
	"errors"
	"fmt"

	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	rbac "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	apply "k8s.io/client-go/applyconfigurations/rbac/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/skerry-io/skerry/internal/wire"
)

const (
	role    = "skerry:network-policy" // of all objects here
	manager = "skerry"
)

// Allow lets nodes watch policies, and the pods and namespaces that policies select.
func Allow(ctx context.Context, client kubernetes.Interface) error {
	api, force := client.RbacV1(), meta.ApplyOptions{FieldManager: manager, Force: true}
	marks := map[string]string{"app.kubernetes.io/managed-by": manager}
	rule := func(group string, resources ...string) *apply.PolicyRuleApplyConfiguration {
		return apply.PolicyRule().WithAPIGroups(group).WithResources(resources...).WithVerbs("list", "watch")
	}
	_, what := api.ClusterRoles().Apply(ctx, apply.ClusterRole(role).WithLabels(marks).
		WithRules(rule(core.GroupName, "namespaces", "pods"), rule(networking.GroupName, "networkpolicies")), force)
	_, who := api.ClusterRoleBindings().Apply(ctx, apply.ClusterRoleBinding(role).WithLabels(marks).
		WithRoleRef(apply.RoleRef().WithAPIGroup(rbac.GroupName).WithKind("ClusterRole").WithName(role)).
		WithSubjects(apply.Subject().WithAPIGroup(rbac.GroupName).WithKind(rbac.GroupKind).WithName(wire.NodeGroup)), force)
	if err := errors.Join(what, who); err != nil {
		return fmt.Errorf("let nodes watch network policies: %w", err)
	}
	return nil
}

// Forbid takes the right away again.
func Forbid(ctx context.Context, client kubernetes.Interface) error {
	api, now := client.RbacV1(), meta.DeleteOptions{}
	if err := errors.Join(absent(api.ClusterRoleBindings().Delete(ctx, role, now)), absent(api.ClusterRoles().Delete(ctx, role, now))); err != nil {
		return fmt.Errorf("take from nodes the right to watch network policies: %w", err)
	}
	return nil
}

func absent(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
