package netpol

import (
	"testing"

	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

func TestTheRightComesAndGoes(t *testing.T) {
	client := fake.NewClientset()
	if err := Forbid(t.Context(), client); err != nil {
		t.Errorf("without it: %v", err)
	}
	for range 2 {
		if err := Allow(t.Context(), client); err != nil {
			t.Fatal(err)
		}
	}
	binding, err := client.RbacV1().ClusterRoleBindings().Get(t.Context(), role, meta.GetOptions{})
	if err != nil || binding.RoleRef.Name != role || binding.Subjects[0].Name != "system:nodes" {
		t.Errorf("got %v, %v", binding, err)
	}
	given, err := client.RbacV1().ClusterRoles().Get(t.Context(), role, meta.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range given.Rules {
		if len(r.Verbs) != 2 || r.Verbs[0] != "list" || r.Verbs[1] != "watch" {
			t.Errorf("nodes may %v %v", r.Verbs, r.Resources)
		}
	}
	if err := Forbid(t.Context(), client); err != nil {
		t.Fatal(err)
	}
	if left, _ := client.RbacV1().ClusterRoles().List(t.Context(), meta.ListOptions{}); len(left.Items) > 0 {
		t.Errorf("left are %v", left.Items)
	}
}
