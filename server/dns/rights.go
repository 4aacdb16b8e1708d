package dns

import (
	"context"
	"errors"
	"fmt"

	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	rbac "k8s.io/api/rbac/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	apply "k8s.io/client-go/applyconfigurations/rbac/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/skerry-io/skerry/internal/wire"
)

// role is the name of all that gives nodes their rights.
const role = "skerry:dns"

// allow lets nodes watch the names they answer for, and the users' settings.
func allow(ctx context.Context, client kubernetes.Interface) error {
	api, force := client.RbacV1(), meta.ApplyOptions{FieldManager: manager, Force: true}
	marks := map[string]string{labelManager: manager}
	rule := func(group string, resources ...string) *apply.PolicyRuleApplyConfiguration {
		return apply.PolicyRule().WithAPIGroups(group).WithResources(resources...).WithVerbs("list", "watch")
	}
	nodes := apply.Subject().WithAPIGroup(rbac.GroupName).WithKind(rbac.GroupKind).WithName(wire.NodeGroup)
	refer := func(kind string) *apply.RoleRefApplyConfiguration {
		return apply.RoleRef().WithAPIGroup(rbac.GroupName).WithKind(kind).WithName(role)
	}

	_, names := api.ClusterRoles().Apply(ctx, apply.ClusterRole(role).WithLabels(marks).
		WithRules(rule(core.GroupName, "namespaces", "services"), rule(discovery.GroupName, "endpointslices")), force)
	_, namesTo := api.ClusterRoleBindings().Apply(ctx, apply.ClusterRoleBinding(role).WithLabels(marks).
		WithRoleRef(refer("ClusterRole")).WithSubjects(nodes), force)
	_, settings := api.Roles(meta.NamespaceSystem).Apply(ctx, apply.Role(role, meta.NamespaceSystem).WithLabels(marks).
		WithRules(rule(core.GroupName, "configmaps").WithResourceNames(wire.DNSConfigMap)), force)
	_, settingsTo := api.RoleBindings(meta.NamespaceSystem).Apply(ctx, apply.RoleBinding(role, meta.NamespaceSystem).WithLabels(marks).
		WithRoleRef(refer("Role")).WithSubjects(nodes), force)
	if err := errors.Join(names, namesTo, settings, settingsTo); err != nil {
		return fmt.Errorf("let nodes watch the cluster's names: %w", err)
	}
	return nil
}

// forbid takes the rights away again.
func forbid(ctx context.Context, client kubernetes.Interface) error {
	api, now := client.RbacV1(), meta.DeleteOptions{}
	return errors.Join(
		absent(api.ClusterRoleBindings().Delete(ctx, role, now)),
		absent(api.RoleBindings(meta.NamespaceSystem).Delete(ctx, role, now)),
		absent(api.ClusterRoles().Delete(ctx, role, now)),
		absent(api.Roles(meta.NamespaceSystem).Delete(ctx, role, now)),
	)
}
