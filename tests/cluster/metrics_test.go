package cluster_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/skerry-io/skerry/tests/testhost"
)

// TestMetrics: what nodes and pods use can be seen and scaled by, on the server's node and on an agent behind a router
// that lets nobody in; a server that does without the component has nothing of it.
func TestMetrics(t *testing.T) {
	const settings = "kube-controller-manager-arg: [horizontal-pod-autoscaler-sync-period=5s]\n"
	c := newCluster(t, settings, []string{busybox})
	far := c.newAgent(t, "far", nil, testhost.BehindNAT())
	far.host.CloseInbound()
	c.start(t)
	for _, name := range c.names() {
		c.applyText(t, burner(name, name, 100))
	}

	t.Run("the API is there when the node is", func(t *testing.T) {
		if out := c.kubectl(t, "get", "apiservice", "v1beta1.metrics.k8s.io"); !strings.Contains(out, "Local") || !strings.Contains(out, "True") {
			t.Error(out)
		}
	})
	t.Run("kubectl explain", func(t *testing.T) {
		for _, what := range []string{"nodes.usage", "pods.containers.usage"} {
			if out := c.kubectl(t, "explain", "--api-version=metrics.k8s.io/v1beta1", what); !strings.Contains(out, "metrics.k8s.io") || !strings.Contains(out, "FIELD: usage") {
				t.Error(out)
			}
		}
	})
	t.Run("kubectl top", func(t *testing.T) { tops(t, c) })
	t.Run("who may view a namespace sees what its pods use", func(t *testing.T) {
		c.kubectl(t, "create", "rolebinding", "viewer", "--clusterrole=view", "--user=jane")
		c.eventually(t, "jane sees pods", func() error {
			_, err := c.try(t, "kubectl", "top", "pods", "--as=jane")
			return err
		})
		if out, err := c.try(t, "kubectl", "top", "pods", "-n", "kube-system", "--as=jane"); err == nil {
			t.Errorf("jane sees another namespace: %s", out)
		}
	})
	t.Run("autoscaling", func(t *testing.T) {
		for _, by := range []string{"cpu", "memory"} {
			t.Run("by "+by, func(t *testing.T) {
				t.Parallel()
				autoscaled(t, c, by)
			})
		}
	})
	t.Run("after a restart", func(t *testing.T) {
		c.again(t, settings)
		tops(t, c)
	})
	t.Run("a server that does without it", func(t *testing.T) {
		c.again(t, settings+"disable: [metrics]\n")
		withoutMetrics(t, c)
	})
}

// again starts the server once more, with these settings.
func (c *cluster) again(t *testing.T, settings string) {
	t.Helper()
	_ = c.stop(t)
	c.host.Write(configFile, []byte(settings))
	c.serve()
	c.apiReady(t)
	c.allReady(t)
}

// burner is a Deployment on one node that asks for so many thousandths of a CPU, and uses twice that and 40 MiB of memory until the
// file /tmp/rest is there. It gets no more, so that as many pods as may be do not stop the machine.
func burner(name, node string, millicores int) string {
	return fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s}
spec:
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s}}
    spec:
      nodeName: %[2]s
      terminationGracePeriodSeconds: 0
      containers:
      - name: main
        image: %[3]s
        imagePullPolicy: Never
        command: [sh, -c, "dd if=/dev/zero of=/dev/shm/full bs=1M count=40; while :; do test -e /tmp/rest && rm -f /dev/shm/full && sleep 1; done"]
        resources: {requests: {cpu: %[4]dm, memory: 32Mi}, limits: {cpu: %[5]dm}}
`, name, node, busybox, millicores, 2*millicores)
}

// scaler scales the Deployment of the resource's name by what its pods use of that, and does so at once.
func scaler(by string) string {
	return `
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: ` + by + `}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: ` + by + `}
  minReplicas: 1
  maxReplicas: 3
  metrics:
  - {type: Resource, resource: {name: ` + by + `, target: {type: Utilization, averageUtilization: 60}}}
  behavior:
    scaleUp: {stabilizationWindowSeconds: 0}
    scaleDown: {stabilizationWindowSeconds: 0}
`
}

// tops waits until kubectl top has figures of both nodes and of a busy pod on each.
func tops(t *testing.T, c *cluster) {
	t.Helper()
	c.eventually(t, "there are figures of both nodes", func() error {
		out, err := c.try(t, "kubectl", "top", "nodes", "--no-headers")
		if err == nil && (strings.Contains(out, "<unknown>") || strings.Count(out, "\n") != 2) {
			err = fmt.Errorf("kubectl top nodes: %s", out)
		}
		return err
	})
	c.eventually(t, "there are figures of both pods", func() error {
		out, err := c.try(t, "kubectl", "top", "pods", "--no-headers")
		if err != nil {
			return err
		}
		lines := strings.Split(strings.TrimSpace(out), "\n")
		for _, line := range lines {
			words := strings.Fields(line)
			var millicores, mebibytes int
			_, err1 := fmt.Sscanf(words[1], "%dm", &millicores)
			_, err2 := fmt.Sscanf(words[2], "%dMi", &mebibytes)
			if err1 != nil || err2 != nil || millicores < 50 || millicores > 400 {
				return fmt.Errorf("a pod that gets 200m CPU: %s", line)
			}
		}
		if len(lines) < 2 {
			return fmt.Errorf("kubectl top pods: %s", out)
		}
		return nil
	})
}

// autoscaled: pods on the far node become three while they are busy and full, and one again when they rest.
func autoscaled(t *testing.T, c *cluster, by string) {
	began := time.Now()
	c.applyText(t, burner(by, "far", 50))
	c.applyText(t, scaler(by))
	pods := c.podsReady(t, by, 3)
	up := time.Since(began)
	for _, pod := range pods {
		_ = c.exec(t, pod.Name, "touch", "/tmp/rest")
	}
	began = time.Now()
	c.eventually(t, "one is left", func() error {
		out, err := c.try(t, "kubectl", "get", "deployment", by, "-o", "jsonpath={.spec.replicas}")
		if err == nil && out != "1" {
			status, _ := c.try(t, "kubectl", "get", "hpa", by)
			err = fmt.Errorf("%s replicas: %s", out, status)
		}
		return err
	})
	t.Logf("three pods after %v, one again after %v", up.Round(time.Second), time.Since(began).Round(time.Second))
	c.kubectl(t, "delete", "hpa,deployment", by)
	c.podsReady(t, by, 0)
}

// withoutMetrics: neither API nor objects.
func withoutMetrics(t *testing.T, c *cluster) {
	c.eventually(t, "nothing is left", func() error {
		for _, gone := range [][]string{
			{"get", "apiservice", "v1beta1.metrics.k8s.io"},
			{"get", "clusterrole", "system:aggregated-metrics-reader"},
			{"get", "--raw", "/apis/metrics.k8s.io"},
			{"get", "--raw", "/apis/metrics.k8s.io/v1beta1/nodes"},
		} {
			if out, err := c.try(t, append([]string{"kubectl"}, gone...)...); err == nil {
				return fmt.Errorf("kubectl %s answers %s", strings.Join(gone, " "), out)
			}
		}
		return nil
	})
	if out, err := c.try(t, "kubectl", "api-resources", "--api-group=metrics.k8s.io", "--no-headers"); err != nil || strings.TrimSpace(out) != "" {
		t.Errorf("discovery still has %q, %v", out, err)
	}
}
