package cluster_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-io/skerry/tests/testhost"
)

// TestAMachineDies: another machine takes its name once an operator says so, and gets the Node as it was; and a node that
// loses its power while it is emptied is removed all the same.
func TestAMachineDies(t *testing.T) {
	c := newCluster(t, quickly(), []string{busybox})
	first := c.newAgent(t, "pi", nil)
	c.start(t)
	c.kubectl(t, "label", "node", "pi", "place=attic")
	c.create(t, webOn("pi", "web-pi", "web"))
	c.podReady(t, "web-pi")
	before := c.theNode(t, "pi")
	first.host.PowerCut()

	second := &agent{node: &node{lab: c.lab, host: c.lab.Host("second", append(programs(t), testhost.Hostname("pi"))...)}, name: "pi"}
	second.place(t, archive(t, busybox))
	c.agents = nil
	t.Run("another machine is refused the name", func(t *testing.T) {
		second.join(t, c)
		if err := second.proc.Wait(time.Minute); err == nil || !strings.Contains(second.proc.Output(), "skerry node replace pi") {
			t.Errorf("%v; it wrote\n%s", err, tail(second.proc.Output(), 10))
		}
	})
	c.agents = []*agent{second}
	t.Run("after replace it is the node", func(t *testing.T) {
		c.skerry(t, "node", "replace", "pi", "--yes")
		second.join(t, c)
		c.nodeUntil(t, "pi", "is the other machine", func(n *corev1.Node) error { return hasAddress(n, second.host.Address()) })
		c.allReady(t)
		if now := c.theNode(t, "pi"); now.UID != before.UID || now.Labels["place"] != "attic" {
			t.Errorf("the Node is another one: %s, labels %v", now.UID, now.Labels)
		}
		c.eventually(t, "its pod runs there", func() error { return c.execs(t, "web-pi") })
	})
	t.Run("the first one has lost the name", func(t *testing.T) {
		first.host.Boot()
		first.join(t, c)
		if err := first.proc.Wait(time.Minute); err == nil || !strings.Contains(first.proc.Output(), "skerry node replace pi") {
			t.Errorf("%v; it wrote\n%s", err, tail(first.proc.Output(), 10))
		}
	})
	t.Run("it loses its power while it is emptied", func(t *testing.T) { removeLost(t, c, second) })
}

// removeLost: pods that only their own kubelet could end, one that asks for an hour, one that somebody holds, one of a
// DaemonSet.
func removeLost(t *testing.T, c *cluster, lost *agent) {
	slow, held := webOn(lost.name, "slow", "slow"), webOn(lost.name, "held", "held")
	hour := int64(3600)
	slow.Spec.TerminationGracePeriodSeconds = &hour
	held.Finalizers = []string{"skerry.test/backup"}
	c.create(t, slow)
	c.create(t, held)
	c.applyText(t, daemons)
	c.podReady(t, "slow")
	c.podReady(t, "held")
	lost.host.PowerCut()
	begin := time.Now()
	out, err := c.try(t, "node", "drain-and-remove", lost.name, "--force", "--timeout=90s")
	took := time.Since(begin).Round(time.Second)
	if err != nil || took > time.Minute || !strings.Contains(out, "held by skerry.test/backup") {
		t.Fatalf("after %s: %v\n%s", took, err, out)
	}
	t.Logf("after %s: %s", took, out)
	c.agents = nil
	if err := c.readyAre(t, c.host.Name()); err != nil {
		t.Error(err)
	}
	c.eventually(t, "its pods are gone, but for the one that is held", func() error {
		pods, err := c.api.CoreV1().Pods(inDefault).List(t.Context(), metav1.ListOptions{FieldSelector: "spec.nodeName=" + lost.name})
		if err != nil {
			return err
		}
		if len(pods.Items) != 1 || pods.Items[0].Name != "held" {
			return fmt.Errorf("there are %d", len(pods.Items))
		}
		return nil
	})
	c.kubectl(t, "patch", "pod", "held", "--type=merge", "-p", `{"metadata":{"finalizers":null}}`)
	c.eventually(t, "and this one when it is let go", func() error {
		_, err := c.api.CoreV1().Pods(inDefault).Get(t.Context(), "held", metav1.GetOptions{})
		if !apierrors.IsNotFound(err) {
			return fmt.Errorf("it is still there, %w", err)
		}
		return nil
	})
}

// daemons has a pod on each node.
const daemons = `
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: daemon}
spec:
  selector: {matchLabels: {app: daemon}}
  template:
    metadata: {labels: {app: daemon}}
    spec:
      containers: [{name: main, image: ` + busybox + `, imagePullPolicy: Never, command: [sleep, "100000"]}]
`

func (c *cluster) theNode(t *testing.T, name string) *corev1.Node {
	t.Helper()
	n, err := c.api.CoreV1().Nodes().Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
