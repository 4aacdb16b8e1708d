package apiserver

import (
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/endpoints/openapi"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

// nameKinds has descriptions say of types which kinds they are, which are not Kubernetes' own. Without that `kubectl explain`
// does not find them.
func nameKinds(c *common.OpenAPIV3Config, kinds *runtime.Scheme) {
	kubernetes, others := c.GetDefinitionName, openapi.NewDefinitionNamer(kinds)
	c.GetDefinitionName = func(name string) (string, spec.Extensions) {
		friendly, says := kubernetes(name)
		if len(says) == 0 {
			_, says = others.GetDefinitionName(name)
		}
		return friendly, says
	}
}
