package metrics

import (
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	registration "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	aggregation "k8s.io/kube-aggregator/pkg/client/clientset_generated/clientset/fake"
)

func TestAnnounceAndRemove(t *testing.T) {
	elsewhere := &registration.ServiceReference{Namespace: "monitoring", Name: "adapter"}
	foreign, moved := apiService(), apiService()
	foreign.Labels, foreign.Spec.Service, moved.Spec.Service = nil, elsewhere, elsewhere
	for name, c := range map[string]struct {
		have  *registration.APIService
		taken bool // somebody else's: it stays as it is
	}{
		"nothing there":                   {},
		"ours from before":                {have: apiService()},
		"ours, pointed to a Service":      {have: moved},
		"one that somebody else has made": {have: foreign, taken: true},
	} {
		t.Run(name, func(t *testing.T) {
			to := Clients{Core: fake.NewClientset(), Aggregation: aggregation.NewSimpleClientset()}
			services, roles := to.Aggregation.ApiregistrationV1().APIServices(), to.Core.RbacV1().ClusterRoles()
			if c.have != nil {
				if _, err := services.Create(t.Context(), c.have, meta.CreateOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			for range 2 {
				if err := announce(t.Context(), to); err != nil {
					t.Fatal(err)
				}
			}
			have, err := services.Get(t.Context(), "v1beta1.metrics.k8s.io", meta.GetOptions{})
			if err != nil || (have.Spec.Service != nil) != c.taken {
				t.Errorf("the APIService is %+v, %v", have, err)
			}
			if err := Remove(t.Context(), to); err != nil {
				t.Fatal(err)
			}
			if _, err := services.Get(t.Context(), "v1beta1.metrics.k8s.io", meta.GetOptions{}); apierrors.IsNotFound(err) == c.taken {
				t.Errorf("afterwards: %v", err)
			}
			if left, err := roles.List(t.Context(), meta.ListOptions{}); err != nil || len(left.Items) > 0 {
				t.Errorf("ClusterRoles are left: %v, %v", left.Items, err)
			}
		})
	}
}
