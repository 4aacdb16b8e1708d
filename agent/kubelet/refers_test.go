package kubelet

import (
	"slices"
	"testing"

	core "k8s.io/api/core/v1"
)

func TestWhatAPodRefersTo(t *testing.T) {
	local := func(name string) core.LocalObjectReference { return core.LocalObjectReference{Name: name} }
	secrets, configMaps := Refers(&core.Pod{Spec: core.PodSpec{
		ImagePullSecrets: []core.LocalObjectReference{local("registry")},
		InitContainers:   []core.Container{{EnvFrom: []core.EnvFromSource{{ConfigMapRef: &core.ConfigMapEnvSource{LocalObjectReference: local("early")}}}}},
		Containers:       []core.Container{{Env: []core.EnvVar{{ValueFrom: &core.EnvVarSource{SecretKeyRef: &core.SecretKeySelector{LocalObjectReference: local("word")}}}}}},
		Volumes: []core.Volume{{VolumeSource: core.VolumeSource{Projected: &core.ProjectedVolumeSource{Sources: []core.VolumeProjection{
			{ConfigMap: &core.ConfigMapProjection{LocalObjectReference: local("ca")}}, {Secret: &core.SecretProjection{LocalObjectReference: local("key")}}}}}}},
	}})
	slices.Sort(secrets)
	slices.Sort(configMaps)
	if !slices.Equal(secrets, []string{"key", "registry", "word"}) || !slices.Equal(configMaps, []string{"ca", "early"}) {
		t.Errorf("Secrets %q, ConfigMaps %q", secrets, configMaps)
	}
}
