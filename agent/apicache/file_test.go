package apicache

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kwatch "k8s.io/apimachinery/pkg/watch"

	"github.com/skerry-io/skerry/internal/certs"
)

// filled is a node whose cache has a secret and two pods on disk, the second in a writing of its own.
func filled(t *testing.T) *node {
	n := newNode(t)
	n.server.set("/api/v1/secrets", &core.SecretList{}, &core.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "s"}, StringData: map[string]string{"word": "openly"}})
	n.server.set(allPods, &core.PodList{}, pod("a", "10.0.0.1"))
	client := n.as(selfUser, mediaBin)
	if _, err := client.CoreV1().Secrets("").List(t.Context(), metav1.ListOptions{}); err != nil {
		t.Fatal(err)
	}
	names(t, client)
	n.flush()
	n.server.set(allPods, &core.PodList{}, pod("a", "10.0.0.1"), pod("b", "10.0.0.2"))
	names(t, client)
	n.flush()
	n.cache.close()
	return n
}

func (n *node) flush() {
	n.t.Helper()
	if err := n.cache.flush(); err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) file() string { return filepath.Join(n.dir, fileName) }

// knows are the names of the pods that the cache answers with, "nothing" when it has no list.
func (n *node) knows() string {
	n.cut()
	code, _ := n.raw(selfUser, "GET", allPods+"?fieldSelector=spec.nodeName%3Dfar", "")
	if code != 200 {
		return "nothing"
	}
	all, _, _ := strings.Cut(names(n.t, n.as(selfUser, mediaBin)), " at")
	return all
}

func TestNoFileStopsANode(t *testing.T) {
	for what, c := range map[string]struct {
		change func([]byte) []byte
		want   string
	}{
		"whole":                     {func(b []byte) []byte { return b }, "a b"},
		"empty":                     {func([]byte) []byte { return nil }, "nothing"},
		"of an earlier version":     {func(b []byte) []byte { return bytes.Replace(b, []byte("cache 1"), []byte("cache 0"), 1) }, "nothing"},
		"of a later version":        {func(b []byte) []byte { return bytes.Replace(b, []byte("cache 1"), []byte("cache 2"), 1) }, "nothing"},
		"something else":            {func([]byte) []byte { return bytes.Repeat([]byte("x"), 5000) }, "nothing"},
		"only a header":             {func(b []byte) []byte { return b[:headerSize] }, "nothing"},
		"the last byte missing":     {func(b []byte) []byte { return b[:len(b)-1] }, "a"},
		"half of it":                {func(b []byte) []byte { return b[:len(b)/2] }, "nothing"},
		"zeros behind it":           {func(b []byte) []byte { return append(b, make([]byte, 4096)...) }, "a b"},
		"rubbish behind it":         {func(b []byte) []byte { return append(b, bytes.Repeat([]byte("\xff"), 999)...) }, "a b"},
		"a bit of the end flipped":  {func(b []byte) []byte { b[len(b)-20] ^= 1; return b }, "a"},
		"a bit of the start turned": {func(b []byte) []byte { b[headerSize+30] ^= 1; return b }, "nothing"},
		"another salt":              {func(b []byte) []byte { b[headerSize-1] ^= 1; return b }, "nothing"},
	} {
		t.Run(what, func(t *testing.T) {
			n := filled(t)
			text, err := os.ReadFile(n.file())
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(n.file(), c.change(text), 0o600); err != nil {
				t.Fatal(err)
			}
			n.boot()
			if got := n.knows(); got != c.want {
				t.Errorf("it knows %q, not %q", got, c.want)
			}
			n.mend()
			n.server.set(allPods, &core.PodList{}, pod("c", "10.0.0.3"))
			names(t, n.as(selfUser, mediaBin))
			n.reboot()
			if got := n.knows(); got != "c" {
				t.Errorf("when it was written anew it knows %q", got)
			}
		})
	}
}

func TestCutAtEveryByteItIsAStateThatWas(t *testing.T) {
	n := filled(t)
	text, err := os.ReadFile(n.file())
	if err != nil {
		t.Fatal(err)
	}
	for size := 0; size < len(text); size += 7 {
		if err := os.WriteFile(n.file(), text[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		n.boot()
		if got := n.knows(); got != "nothing" && got != "a" && got != "a b" {
			t.Fatalf("cut at %d it knows %q", size, got)
		}
		n.cache.close()
	}
}

func TestAnotherKeyOpensNothing(t *testing.T) {
	n := filled(t)
	text, err := os.ReadFile(n.file())
	if err != nil || bytes.Contains(text, []byte("openly")) || bytes.Contains(text, []byte("10.0.0.1")) {
		t.Errorf("the file can be read: %v", err)
	}
	if info, err := os.Stat(n.file()); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("its mode is %v, %v", info.Mode(), err)
	}
	if n.key, err = certs.NewKey(); err != nil {
		t.Fatal(err)
	}
	n.boot()
	if got := n.knows(); got != "nothing" {
		t.Errorf("it knows %q", got)
	}
}

func TestADiskThatTakesNothing(t *testing.T) {
	n := newNode(t)
	n.server.set(allPods, &core.PodList{}, pod("a", "10.0.0.1"))
	names(t, n.as(selfUser, mediaBin))
	n.flush()
	whole := n.cache.file.disk
	readOnly, err := os.Open(n.file())
	if err != nil {
		t.Fatal(err)
	}
	n.cache.file.disk = readOnly // as a full one refuses to write
	n.server.set(allPods, &core.PodList{}, pod("b", "10.0.0.2"))
	names(t, n.as(selfUser, mediaBin))
	if err := n.cache.flush(); err == nil || !n.cache.told(err) || len(n.cache.config.Rows.Details()) != 1 {
		t.Errorf("it is told: %v", err)
	}
	if got := n.knows(); got != "b" {
		t.Errorf("meanwhile it knows %q", got)
	}
	n.cache.file.disk = whole
	if err := n.cache.flush(); n.cache.told(err) || len(n.cache.config.Rows.Details()) != 0 {
		t.Errorf("with room again: %v", err)
	}
	n.reboot()
	if got := n.knows(); got != "b" {
		t.Errorf("after a reboot it knows %q", got)
	}
}

func TestTheFileStaysSmall(t *testing.T) {
	n := newNode(t)
	client := n.as(selfUser, mediaBin)
	for i := range 400 {
		n.server.set(allPods, &core.PodList{}, pod("a", fmt.Sprintf("10.0.%d.%d", i/250, i%250)), pod("b", "10.1.0.1"))
		names(t, client)
		n.flush()
	}
	info, err := os.Stat(n.file())
	if err != nil || info.Size() > 2*spare {
		t.Errorf("it has %d bytes, %v", info.Size(), err)
	}
	n.reboot()
	if got := n.knows(); got != "a b" {
		t.Errorf("it knows %q", got)
	}
}

func TestWhatSaysTheSameIsNotWritten(t *testing.T) {
	n := newNode(t)
	client := n.as(selfUser, mediaBin)
	sum := func() [32]byte {
		n.flush()
		text, err := os.ReadFile(n.file())
		if err != nil {
			t.Fatal(err)
		}
		return sha256.Sum256(text)
	}
	beat := func(at int) {
		n.server.set("/api/v1/nodes", &core.NodeList{}, &core.Node{ObjectMeta: metav1.ObjectMeta{Name: self},
			Status: core.NodeStatus{Conditions: []core.NodeCondition{{Type: core.NodeReady, LastHeartbeatTime: metav1.NewTime(time.Unix(int64(at), 0))}}}})
		if _, err := client.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	beat(1)
	n.server.set(allPods, &core.PodList{}, pod("a", "10.0.0.1"))
	names(t, client)
	first := sum()
	for i := range 10 {
		beat(i)
		names(t, client)
	}
	if sum() != first {
		t.Error("a heartbeat and a list that says the same were written")
	}
}

func TestObjectsOfWhichThereAreTooMany(t *testing.T) {
	n := newNode(t)
	big := strings.Repeat("x", 1<<20)
	var all []core.ConfigMap
	for i := range limit>>20 + 3 {
		all = append(all, core.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprint(i)}, Data: map[string]string{"a": big}})
	}
	for i := range all {
		n.server.set("/api/v1/namespaces/default/configmaps/"+all[i].Name, &core.ConfigMapList{}, &all[i])
		n.cache.single(query{user: selfUser, path: "/" + all[i].Name, resource: "configmaps"}, must(encoded(protobuf, "v1", "ConfigMap", &all[i])))
	}
	n.flush()
	if info, err := os.Stat(n.file()); err != nil || info.Size() > limit+spare || !n.cache.full {
		t.Errorf("%d bytes, %v", info.Size(), err)
	}
	large := elsewhere(pod("a", "10.0.0.1"))
	large.Annotations = map[string]string{"a": big}
	n.server.set(allPods, &core.PodList{}, large)
	whole := func() bool {
		n.cache.mu.Lock()
		defer n.cache.mu.Unlock()
		return n.cache.covering(parse(httptest.NewRequest(http.MethodGet, allPods+"?fieldSelector="+ofThis, http.NoBody), selfUser), everybody) != nil
	}
	names(t, n.as(selfUser, mediaBin))
	if whole() {
		t.Error("a list for which there is no room counts as whole")
	}
	n.reboot()
	if whole() {
		t.Error("after a reboot it does")
	}
	for _, v := range n.cache.index.views {
		if v.version == "" {
			n.cache.index.forget(v)
		}
	}
	names(t, n.as(selfUser, mediaBin))
	if !whole() {
		t.Error("with room again it does not")
	}
	watch, err := n.as(selfUser, mediaBin).CoreV1().Pods("").Watch(t.Context(), mine())
	if err != nil {
		t.Fatal(err)
	}
	n.cache.mu.Lock()
	n.cache.index.live += limit
	n.cache.mu.Unlock()
	eventually(t, "it is watched", func() bool { return watchers(n) == 1 })
	n.server.send(allPods, kwatch.Added, pod("b", "10.0.0.2"))
	next(t, watch)
	if !whole() || n.cache.index.entries[ref{Kind: pods, Namespace: "default", Name: "b"}] == nil {
		t.Error("a pod of this node was not taken: the kubelet would end it")
	}
	n.server.send(allPods, kwatch.Added, elsewhere(pod("c", "10.0.0.3")))
	next(t, watch)
	if whole() {
		t.Error("a watch of which there is no room for all counts as whole")
	}
}

// elsewhere has a pod run on another node.
func elsewhere(p *core.Pod) *core.Pod {
	p.Spec.NodeName = "another"
	return p
}

func must(o object, err error) object {
	if err != nil {
		panic(err)
	}
	return o
}

func TestManyAtOnce(t *testing.T) {
	n := newNode(t)
	n.server.set(allPods, &core.PodList{}, pod("a", "10.0.0.1"))
	names(t, n.as(selfUser, mediaBin))
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			client := n.as(selfUser, encodings()[i%2])
			for range 20 {
				_, _ = client.CoreV1().Pods("").List(t.Context(), mine())
				if w, err := client.CoreV1().Pods("").Watch(t.Context(), mine()); err == nil {
					w.Stop()
				}
				_, _ = client.CoreV1().Pods("default").Patch(t.Context(), "a", "application/strategic-merge-patch+json",
					[]byte(`{"status":{"phase":"Running"}}`), metav1.PatchOptions{}, "status")
			}
		})
	}
	all.Go(func() {
		for range 20 {
			n.cut()
			_ = n.cache.flush()
			time.Sleep(5 * time.Millisecond)
			n.cache.sweep(time.Now())
			n.mend()
			time.Sleep(5 * time.Millisecond)
		}
	})
	all.Wait()
	n.reboot()
	if got := n.knows(); got != "a" {
		t.Errorf("it knows %q", got)
	}
}

func TestWhatAUserMayNoLongerSeeIsForgotten(t *testing.T) {
	n := filled(t)
	n.boot()
	n.server.mu.Lock()
	n.server.forbidden = true
	n.server.mu.Unlock()
	client := n.as(selfUser, mediaBin)
	if _, err := client.CoreV1().Secrets("").List(t.Context(), metav1.ListOptions{}); err == nil {
		t.Fatal("it may")
	}
	n.cut()
	if _, err := client.CoreV1().Secrets("").List(t.Context(), metav1.ListOptions{}); !apierrors.IsServiceUnavailable(err) {
		t.Errorf("alone it is told: %v", err)
	}
}

// TestAPolicyIsWrittenAtOnce: a node that is killed a moment after it heard of a policy, and starts alone, goes by it.
func TestAPolicyIsWrittenAtOnce(t *testing.T) {
	n := newNode(t)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		n.cache.Run(ctx)
	}()
	defer func() {
		stop()
		<-done
	}()
	policy := must(encoded(protobuf, "networking.k8s.io/v1", "NetworkPolicy", &networking.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "wall"}}))
	began := time.Now()
	n.cache.listed(query{user: selfUser, path: "/apis/networking.k8s.io/v1/networkpolicies", group: "networking.k8s.io", resource: "networkpolicies"},
		list{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicyList", version: "1000", items: []object{policy}})
	eventually(t, "something is written", func() bool {
		info, err := os.Stat(n.file())
		return err == nil && info.Size() > int64(len(policy.body))
	})
	if took := time.Since(began); took >= gather {
		t.Errorf("it was written after %s", took)
	}
}
