package apicache

import (
	"errors"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

func TestWhatNobodyNeedsIsForgotten(t *testing.T) {
	n := filled(t)
	n.boot()
	now := time.Now()
	n.cache.sweep(now)
	n.cache.sweep(now.Add(unwatched / 2))
	if len(n.cache.index.views) != 2 {
		t.Errorf("%d views are left too soon", len(n.cache.index.views))
	}
	n.cache.sweep(now.Add(2 * unwatched))
	if len(n.cache.index.views) != 1 || len(n.cache.index.entries) != 2 || n.cache.index.entries[ref{Kind: "/secrets", Namespace: "default", Name: "s"}] != nil {
		t.Errorf("%d views, %d objects are left", len(n.cache.index.views), len(n.cache.index.entries))
	}
}

// TestWhatPodsReferToIsKept: the kubelet does not go on watching what only environment variables take, and what is immutable.
func TestWhatPodsReferToIsKept(t *testing.T) {
	n := newNode(t)
	user := pod("a", "10.0.0.1")
	user.Spec.Containers = []core.Container{{Name: "main", EnvFrom: []core.EnvFromSource{{SecretRef: &core.SecretEnvSource{LocalObjectReference: core.LocalObjectReference{Name: "word"}}}}}}
	user.Spec.Volumes = []core.Volume{{Name: "v", VolumeSource: core.VolumeSource{ConfigMap: &core.ConfigMapVolumeSource{LocalObjectReference: core.LocalObjectReference{Name: "conf"}}}}}
	n.server.set(allPods, &core.PodList{}, user)
	named := metav1.ObjectMeta{Namespace: "default"}
	ask := func(client kubernetes.Interface, secret, configMap string) (err error) {
		_, of1 := client.CoreV1().Secrets("default").List(t.Context(), metav1.ListOptions{FieldSelector: byName + secret})
		_, of2 := client.CoreV1().ConfigMaps("default").List(t.Context(), metav1.ListOptions{FieldSelector: byName + configMap})
		return errors.Join(of1, of2)
	}
	client := n.as(selfUser, mediaBin)
	names(t, client)
	for _, name := range []string{"word", "other"} {
		named.Name = name
		n.server.set("/api/v1/namespaces/default/secrets", &core.SecretList{}, &core.Secret{ObjectMeta: named})
		named.Name = "conf"
		n.server.set("/api/v1/namespaces/default/configmaps", &core.ConfigMapList{}, &core.ConfigMap{ObjectMeta: named})
		if err := ask(client, name, "conf"); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now()
	n.cache.sweep(now.Add(2 * unwatched))
	if n.cache.index.views[viewKey{User: selfUser, Path: "/api/v1/namespaces/default/secrets", Fields: byName + "other"}] != nil {
		t.Error("a Secret that no pod refers to is kept")
	}
	n.reboot(rebooted)
	n.cut()
	if err := ask(n.as(selfUser, mediaBin), "word", "conf"); err != nil {
		t.Errorf("alone after a reboot: %v", err)
	}
	n.mend()
	n.server.set(allPods, &core.PodList{})
	names(t, n.as(selfUser, mediaBin))
	n.cache.sweep(now.Add(2 * unwatched))
	n.cache.sweep(now.Add(4 * unwatched))
	if len(n.cache.index.views) != 1 {
		t.Errorf("%d views are left when the pod is gone", len(n.cache.index.views))
	}
}
