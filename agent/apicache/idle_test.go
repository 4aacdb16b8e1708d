package apicache

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// What a node with thirty pods keeps, and what five idle minutes of it are.
const (
	podsOfNode     = 30
	servicesThere  = 20
	nodesThere     = 10
	idleMinutes    = 5
	maxCacheMemory = 10 << 20
	maxIdleBytes   = 50 << 10
)

// household fills a cache with what a node with thirty pods, each with a ConfigMap, a Secret and a token, is told.
func household(n *node) {
	list := func(path, of, kind string, users []string, objects ...object) {
		l := list{APIVersion: "v1", Kind: kind + "List", version: "1000", items: objects}
		for _, user := range users {
			n.cache.listed(query{user: user, path: path, group: group(of), resource: resource(of)}, l)
		}
	}
	both := []string{selfUser, "system:kube-proxy"}
	var pods, slices, services, known []object
	for i := range podsOfNode {
		name := fmt.Sprintf("a-pod-of-a-deployment-%d", i)
		p := pod(name, fmt.Sprintf("10.42.1.%d", i+2))
		p.Spec.Containers = []core.Container{{Name: "main", Image: "registry.local/some/image:v1.2.3", Command: []string{"serve", strings.Repeat("x", 300)},
			Env: []core.EnvVar{{Name: "SOME", Value: strings.Repeat("y", 200)}}}}
		p.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubelet", FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(strings.Repeat("z", 2500))}}
		pods = append(pods, must(encoded(protobuf, "v1", "Pod", p)))
		of := metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID("uid-" + name)}
		list("/api/v1/namespaces/default/configmaps", "/configmaps", "ConfigMap", []string{selfUser + name},
			must(encoded(protobuf, "v1", "ConfigMap", &core.ConfigMap{ObjectMeta: of, Data: map[string]string{"conf": strings.Repeat("c", 2000)}})))
		list("/api/v1/namespaces/default/secrets", "/secrets", "Secret", []string{selfUser + name},
			must(encoded(protobuf, "v1", "Secret", &core.Secret{ObjectMeta: of, Data: map[string][]byte{"word": bytes.Repeat([]byte("s"), 500)}})))
		n.token(name, 0)
	}
	for i := range servicesThere {
		of := metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprintf("service-%d", i)}
		services = append(services, must(encoded(protobuf, "v1", "Service", &core.Service{ObjectMeta: of, Spec: core.ServiceSpec{ClusterIP: "10.43.0.9"}})))
		slices = append(slices, must(encoded(protobuf, "discovery.k8s.io/v1", "EndpointSlice", &discovery.EndpointSlice{ObjectMeta: of,
			Endpoints: []discovery.Endpoint{{Addresses: []string{"10.42.1.2"}}, {Addresses: []string{"10.42.2.2"}}}})))
	}
	for i := range nodesThere {
		known = append(known, beat(i, 0))
	}
	list(allPods, "/pods", "Pod", []string{selfUser}, pods...)
	list("/api/v1/services", "/services", "Service", both, services...)
	list("/apis/discovery.k8s.io/v1/endpointslices", "discovery.k8s.io/endpointslices", "EndpointSlice", both, slices...)
	list("/api/v1/nodes", "/nodes", "Node", both, known...)
}

func group(kind string) string    { g, _, _ := strings.Cut(kind, "/"); return g }
func resource(kind string) string { _, r, _ := strings.Cut(kind, "/"); return r }

// beat is a Node as it says that it lives.
func beat(i, minute int) object {
	at := metav1.NewTime(time.Unix(int64(60*minute), 0))
	var images []core.ContainerImage
	for image := range 20 {
		images = append(images, core.ContainerImage{Names: []string{fmt.Sprintf("registry.local/some/image-%d:v1", image)}, SizeBytes: 1 << 20})
	}
	return must(encoded(protobuf, "v1", "Node", &core.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("node-%d", i), ResourceVersion: fmt.Sprint(2000 + minute)},
		Status: core.NodeStatus{Images: images, Conditions: []core.NodeCondition{{Type: core.NodeReady, Status: core.ConditionTrue, LastHeartbeatTime: at}}}}))
}

// token keeps the given one of a pod's tokens.
func (n *node) token(pod string, number int) {
	n.cache.keep(ref{Kind: tokens, Namespace: "default", Name: "sum-of-" + pod},
		kept{Token: fmt.Sprintf("%04d", number) + strings.Repeat("t", 1200), Expires: time.Now().Add(time.Hour), Pod: "uid-" + pod})
}

func TestTheCacheOfAnIdleNode(t *testing.T) {
	n := newNode(t)
	before := heap()
	household(n)
	n.flush()
	memory := heap() - before
	whole := n.size()
	n.idle()
	n.flush()
	written := n.size() - whole
	t.Logf("thirty pods cost %d KiB of memory and %d KiB of disk; five idle minutes write %d bytes", memory>>10, whole>>10, written)
	if memory > maxCacheMemory {
		t.Errorf("it has %d bytes in memory", memory)
	}
	if written > maxIdleBytes || written < 1000 {
		t.Errorf("%d bytes were written; a few tokens were renewed", written)
	}
	n.cache.close()
}

// idle is five minutes in which nobody does anything: Nodes say that they live, watches are marked and begin anew, lists that have
// not changed are asked for again, and of the tokens, which are renewed within an hour, some are.
func (n *node) idle() {
	nodes := query{user: selfUser, path: "/api/v1/nodes", resource: "nodes", watch: true}
	for minute := range idleMinutes {
		var text []byte
		for i := range nodesThere {
			text = append(text, mustText(eventText(modified, beat(i, minute+1)))...)
		}
		mark, err := bookmark(protobuf, "v1", "Node", fmt.Sprint(3000+minute), false)
		if err != nil {
			n.t.Fatal(err)
		}
		text = append(text, mustText(eventText(marked, mark))...)
		passing := n.cache.follow(nodes, protobuf, io.NopCloser(bytes.NewReader(text)))
		if _, err := io.Copy(io.Discard, passing); err != nil {
			n.t.Fatal(err)
		}
		_ = passing.Close()
		n.token(fmt.Sprintf("a-pod-of-a-deployment-%d", minute), minute+1)
		n.flush()
	}
}

func mustText(text []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return text
}

// size is that of the file, in bytes.
func (n *node) size() int64 {
	n.t.Helper()
	info, err := os.Stat(n.file())
	if err != nil {
		n.t.Fatal(err)
	}
	return info.Size()
}
