package cluster_test

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestColdStart: an empty disk becomes a node whose first pod starts at the first try.
func TestColdStart(t *testing.T) {
	n := newNode(t, []string{busybox})
	begin := time.Now()
	n.serve()
	n.apiReady(t)
	t.Logf("API ready after %v", time.Since(begin).Round(10*time.Millisecond))

	t.Run("the first pod is accepted at once", func(t *testing.T) {
		n.create(t, sleeper("first")) // refused while there is no default ServiceAccount
	})
	n.ready(t)
	t.Logf("node Ready after %v", time.Since(begin).Round(10*time.Millisecond))
	n.podReady(t, "first")
	t.Logf("first pod ready after %v", time.Since(begin).Round(10*time.Millisecond))

	t.Run("no pod met a retry", func(t *testing.T) {
		for _, w := range n.warnings(t) {
			if !strings.Contains(w, "FailedScheduling") { // waiting for the node is not a retry
				t.Error(w)
			}
		}
	})
	t.Run("the kubeconfig is for its owner only", func(t *testing.T) {
		out, err := n.host.Run(t.Context(), "stat", "-c", "%a %U", kubeconfig)
		if err != nil || out != "600 root\n" {
			t.Errorf("%s: %q, %v", kubeconfig, out, err)
		}
	})
	t.Run("the version is upstream's", func(t *testing.T) {
		v, err := n.api.Discovery().ServerVersion()
		if err != nil || !strings.HasPrefix(v.GitVersion, "v1.36.4") {
			t.Errorf("server version %v, %v", v, err)
		}
	})
	t.Run("the runtime's own tools work", func(t *testing.T) {
		if out := n.skerry(t, "crictl", "ps"); !strings.Contains(out, "main") {
			t.Errorf("crictl ps: %s", out)
		}
		if out := n.skerry(t, "ctr", "--namespace", "k8s.io", "images", "ls", "-q"); !strings.Contains(out, busybox) {
			t.Errorf("ctr images: %s", out)
		}
	})
}

// TestPoliteStop: a stop takes less than 10 s, pods run on, and the next start adopts them.
func TestPoliteStop(t *testing.T) {
	n := startNode(t, []string{busybox})
	n.apply(t, "demo.yaml")
	n.create(t, sleeper("sleeper"))
	n.podReady(t, "sleeper")
	before := append(n.podsReady(t, "demo", 2), *n.pod(t, "sleeper"))
	service := "http://" + n.clusterIP(t, "demo") + "/version"
	n.eventually(t, "the demo answers through its Service", func() error {
		_, err := n.fetch(service)
		return err
	})

	if took := n.stop(t); took > 10*time.Second {
		t.Errorf("the stop took %v", took)
	}
	t.Run("stopped, pods and their Service still answer", func(t *testing.T) {
		if out, err := n.fetch(service); err != nil {
			t.Errorf("%q, %v", out, err)
		}
		if running := strings.Join(n.host.Processes(), "\n"); !strings.Contains(running, "sleep 1000000") {
			t.Errorf("the sleeper is gone; there are\n%s", running)
		}
	})

	n.serve()
	n.ready(t)
	t.Run("the node starts new pods", func(t *testing.T) {
		n.create(t, sleeper("after"))
		n.podReady(t, "after")
	})
	// The new kubelet has gone through all its pods by now: it has started one.
	for i := range before {
		if now := n.podReady(t, before[i].Name); identity(now) != identity(&before[i]) {
			t.Errorf("pod %s was\n%s\nis\n%s", now.Name, identity(&before[i]), identity(now))
		}
	}
}

func (n *node) clusterIP(t *testing.T, service string) string {
	t.Helper()
	s, err := n.api.CoreV1().Services(inDefault).Get(t.Context(), service, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return s.Spec.ClusterIP
}
