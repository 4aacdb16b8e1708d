package apiserver

import (
	"slices"
	"strings"
	"testing"

	"k8s.io/apiserver/pkg/admission"
	kubeoptions "k8s.io/kubernetes/pkg/kubeapiserver/options"
)

type anyPlugin struct{}

func (anyPlugin) Handles(admission.Operation) bool { return true }

func TestPluginsStandBeforeThoseThatAskOthers(t *testing.T) {
	o := kubeoptions.NewAdmissionOptions().GenericAdmission
	admit(o, []Plugin{{"Ours", anyPlugin{}}, {"OursToo", anyPlugin{}}})
	order := strings.Join(o.RecommendedPluginOrder, " ")
	if !strings.Contains(order, "Ours OursToo MutatingAdmissionPolicy MutatingAdmissionWebhook") {
		t.Errorf("the order is %s", order)
	}
	if slices.Contains(kubeoptions.AllOrderedPlugins, "Ours") {
		t.Error("Kubernetes' own list was changed")
	}
	if errs := o.Validate(); len(errs) > 0 {
		t.Errorf("upstream says %v", errs)
	}
}
