package netpol

import (
	"fmt"
	"reflect"
	"runtime"
	"testing"

	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
)

// full is a pod as the API server has it.
func full(i int) *core.Pod {
	always := core.ContainerRestartPolicyAlways
	container := func(name string, ports ...core.ContainerPort) core.Container {
		return core.Container{Name: name, Image: "registry.example/team/program:v1.2.3", Ports: ports, Env: []core.EnvVar{{Name: "SECRET", Value: "not to be kept"}}}
	}
	sidecar := container("proxy", core.ContainerPort{Name: "admin", ContainerPort: 9000})
	sidecar.RestartPolicy = &always
	return &core.Pod{
		ObjectMeta: meta.ObjectMeta{Namespace: "one", Name: fmt.Sprint("web-5d4f8c7b9-", i), UID: types.UID(fmt.Sprint("0b9f3c8e-", i)), ResourceVersion: fmt.Sprint(i),
			Labels: map[string]string{"app": "web", "pod-template-hash": "5d4f8c7b9"}, Annotations: map[string]string{"a": "large one", hashAnnotation: "file"}},
		Spec: core.PodSpec{NodeName: "pi", InitContainers: []core.Container{sidecar, container("once", core.ContainerPort{Name: "never", ContainerPort: 1})},
			Containers: []core.Container{container("main", core.ContainerPort{Name: "web", ContainerPort: 80, Protocol: core.ProtocolTCP},
				core.ContainerPort{ContainerPort: 81}, core.ContainerPort{Name: "dns", ContainerPort: 53, Protocol: core.ProtocolUDP}, core.ContainerPort{Name: "odd", ContainerPort: 5, Protocol: "DCCP"})}},
		Status: core.PodStatus{PodIPs: []core.PodIP{{IP: fmt.Sprintf("10.42.%d.%d", i/250, i%250)}, {IP: "fd00:42::5"}, {IP: "rubbish"}}},
	}
}

func TestOfAPodIsKeptWhatPoliciesLookAt(t *testing.T) {
	got, err := trimPod(full(5), "pi")
	if err != nil {
		t.Fatal(err)
	}
	p := got.(*kept).pod
	want := &pod{namespace: "one", name: "web-5d4f8c7b9-5", uid: "0b9f3c8e-5", static: "file", local: true, labels: labels.Set{"app": "web", "pod-template-hash": "5d4f8c7b9"},
		ports: []namedPort{{"admin", "tcp", 9000}, {"web", "tcp", 80}, {"dns", "udp", 53}}, addresses: p.addresses}
	if !reflect.DeepEqual(p, want) || fmt.Sprint(p.addresses) != "[10.42.0.5 fd00:42::5]" {
		t.Errorf("got %+v", p)
	}
	if other, _ := trimPod(full(5), "other"); other.(*kept).pod.local {
		t.Error("it is taken for another node's")
	}
}

func TestWhatChangesNoRuleIsNoChange(t *testing.T) {
	trim := func(p *core.Pod) any { o, _ := trimPod(p, "pi"); return o }
	busy, moved := full(1), full(1)
	busy.ResourceVersion, busy.Status.Phase, busy.Annotations = "9", core.PodRunning, map[string]string{hashAnnotation: "file"}
	moved.Status.PodIPs[0].IP = "10.42.0.9"
	if !same(trim(full(1)), trim(busy)) || same(trim(full(1)), trim(moved)) {
		t.Error("pods")
	}
	space := func(label, note string) any {
		o, _ := trimNamespace(&core.Namespace{ObjectMeta: meta.ObjectMeta{Labels: map[string]string{"a": label}, Annotations: map[string]string{"a": note}}})
		return o
	}
	if !same(space("x", "1"), space("x", "2")) || same(space("x", "1"), space("y", "1")) {
		t.Error("namespaces")
	}
	policy := func(uid types.UID, types ...networking.PolicyType) any {
		o, _ := trimPolicy(&networking.NetworkPolicy{ObjectMeta: meta.ObjectMeta{UID: uid, ResourceVersion: string(uid)}, Spec: networking.NetworkPolicySpec{PolicyTypes: types}})
		return o
	}
	if !same(policy("1"), policy("1")) || same(policy("1"), policy("1", "Egress")) || same(policy("1"), policy("2")) || same(policy("1"), space("x", "1")) {
		t.Error("policies")
	}
}

// BenchmarkHeap reports what the pods of a cluster cost a node while there is a policy.
func BenchmarkHeap(b *testing.B) {
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		all := make([]any, 0, 1000)
		for i := range 1000 {
			one, _ := trimPod(full(i).DeepCopy(), "pi")
			all = append(all, one)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/1024, "kB/1000pods")
		runtime.KeepAlive(all)
	}
}
