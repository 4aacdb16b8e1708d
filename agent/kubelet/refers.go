package kubelet

import (
	core "k8s.io/api/core/v1"
	podutil "k8s.io/kubernetes/pkg/api/v1/pod"
)

// Refers gives the names of the Secrets and ConfigMaps that a pod refers to, as the kubelet finds them. A name may be there twice.
func Refers(pod *core.Pod) (secrets, configMaps []string) {
	into := func(names *[]string) podutil.Visitor {
		return func(name string) bool {
			*names = append(*names, name)
			return true
		}
	}
	podutil.VisitPodSecretNames(pod, into(&secrets))
	podutil.VisitPodConfigmapNames(pod, into(&configMaps))
	return secrets, configMaps
}
