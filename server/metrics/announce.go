package metrics

import (
	"context"
	"fmt"

	rbac "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	registration "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"k8s.io/kube-aggregator/pkg/client/clientset_generated/clientset"
)

// What marks the objects made here.
const (
	labelManager = "app.kubernetes.io/managed-by"
	manager      = "skerry"
)

// Clients are what the objects are made with.
type Clients struct {
	Core        kubernetes.Interface
	Aggregation clientset.Interface
}

// apiService tells discovery and users of the API. It names no Service: the API server answers itself.
func apiService() *registration.APIService {
	return &registration.APIService{
		ObjectMeta: meta.ObjectMeta{Name: "v1beta1.metrics.k8s.io", Labels: map[string]string{labelManager: manager}},
		Spec:       registration.APIServiceSpec{Group: "metrics.k8s.io", Version: "v1beta1", GroupPriorityMinimum: 100, VersionPriority: 100},
	}
}

// readers lets those read who may view a namespace. The name is metrics-server's own.
func readers() *rbac.ClusterRole {
	return &rbac.ClusterRole{
		ObjectMeta: meta.ObjectMeta{Name: "system:aggregated-metrics-reader", Labels: map[string]string{
			labelManager: manager,
			"rbac.authorization.k8s.io/aggregate-to-view":  "true",
			"rbac.authorization.k8s.io/aggregate-to-edit":  "true",
			"rbac.authorization.k8s.io/aggregate-to-admin": "true",
		}},
		Rules: []rbac.PolicyRule{{APIGroups: []string{"metrics.k8s.io"}, Resources: []string{"pods", "nodes"}, Verbs: []string{"get", "list"}}},
	}
}

// announce makes the objects. A ClusterRole that is there stays: a user may have narrowed it. An APIService of ours that
// was pointed elsewhere is set right; one that somebody else made is left alone.
func announce(ctx context.Context, to Clients) error {
	_, err := to.Core.RbacV1().ClusterRoles().Create(ctx, readers(), meta.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("make the ClusterRole %s: %w", readers().Name, err)
	}
	services, want := to.Aggregation.ApiregistrationV1().APIServices(), apiService()
	have, err := services.Get(ctx, want.Name, meta.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		_, err = services.Create(ctx, want, meta.CreateOptions{})
	case err == nil && ours(have) && !equality.Semantic.DeepEqual(have.Spec, want.Spec):
		have.Spec = want.Spec
		_, err = services.Update(ctx, have, meta.UpdateOptions{})
	}
	if err != nil {
		return fmt.Errorf("make the APIService %s: %w", want.Name, err)
	}
	return nil
}

// Remove takes away what announce made, for a server that does without the component.
func Remove(ctx context.Context, to Clients) error {
	services, roles := to.Aggregation.ApiregistrationV1().APIServices(), to.Core.RbacV1().ClusterRoles()
	service, err := services.Get(ctx, apiService().Name, meta.GetOptions{})
	if err == nil && ours(service) {
		err = services.Delete(ctx, service.Name, meta.DeleteOptions{})
	}
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete the APIService %s: %w", apiService().Name, err)
	}
	role, err := roles.Get(ctx, readers().Name, meta.GetOptions{})
	if err == nil && ours(role) {
		err = roles.Delete(ctx, role.Name, meta.DeleteOptions{})
	}
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete the ClusterRole %s: %w", readers().Name, err)
	}
	return nil
}

func ours(object meta.Object) bool { return object.GetLabels()[labelManager] == manager }
