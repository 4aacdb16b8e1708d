package cluster_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestControlPlaneAlone: a server without a node of its own runs a cluster, and both it and its agent follow a change of
// their address.
func TestControlPlaneAlone(t *testing.T) {
	c := newCluster(t, "disable-agent: true\n", []string{busybox})
	a := c.newAgent(t, "agent", nil)
	c.serve()
	c.apiReady(t)
	a.join(t, c)
	c.eventually(t, "the agent is Ready", func() error { return c.readyAre(t, "agent") })
	c.create(t, webOn("agent", "web-agent", "web"))
	c.podReady(t, "web-agent")
	const agentAt, serverAt = "10.200.0.77", "10.200.0.78"
	t.Run("the agent's", func(t *testing.T) {
		a.host.Readdress(agentAt)
		c.nodeUntil(t, "agent", "has the new address", func(n *corev1.Node) error {
			return errors.Join(hasAddress(n, agentAt), flannelSays(n, agentAt), c.serves(t, agentAt))
		})
		c.eventually(t, "its pod is reached", func() error { return c.execs(t, "web-agent") })
	})
	t.Run("the server's", func(t *testing.T) {
		c.host.Readdress(serverAt)
		c.eventually(t, "the cluster says so", func() error {
			slice, err := c.api.DiscoveryV1().EndpointSlices(inDefault).Get(t.Context(), "kubernetes", metav1.GetOptions{})
			if err != nil {
				return err
			}
			if len(slice.Endpoints) != 1 || slice.Endpoints[0].Addresses[0] != serverAt {
				return fmt.Errorf("the API server is said to be at %v", slice.Endpoints)
			}
			return nil
		})
		told := c.proc.Output()
		if !strings.Contains(told, "from 10.200.0.11 to "+serverAt) || strings.Contains(told, "level=ERROR") || strings.Contains(told, " ERROR ") {
			t.Errorf("it wrote\n%s", tail(told, 20))
		}
	})
}

// TestAPowerCutWithoutAServer: nodes that boot while no server can be reached carry packets between their pods.
func TestAPowerCutWithoutAServer(t *testing.T) {
	c := newCluster(t, "", []string{busybox})
	left, right := c.newAgent(t, "left", nil), c.newAgent(t, "right", nil)
	for _, a := range c.agents {
		a.host.Write("/var/lib/skerry/agent/pod-manifests/web.yaml", fmt.Appendf(nil, staticWeb, a.name))
	}
	c.start(t)
	for _, a := range c.agents {
		c.podReady(t, "web-"+a.name)
	}
	c.host.PowerCut()
	for _, a := range c.agents {
		a.host.PowerCycle()
		a.join(t, c)
	}
	for _, way := range [][2]*agent{{left, right}, {right, left}} {
		from, to := way[0], way[1]
		from.eventually(t, "the pod of "+to.name+" answers on "+from.name, func() error {
			ip, err := to.staticIP(t)
			if err != nil {
				return err
			}
			out, err := get(from.host.HTTP(), "http://"+ip+":8080/index.html")
			return errors.Join(err, oneOf(out, []string{to.name}))
		})
	}
}

// staticWeb is a pod that needs no API to run.
const staticWeb = `
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  containers:
  - name: main
    image: ` + busybox + `
    imagePullPolicy: Never
    command: [sh, -c, "echo %s > /tmp/index.html; exec httpd -f -p 8080 -h /tmp"]
`

// staticIP is the address of the node's one pod, as the runtime says it.
func (a *agent) staticIP(t *testing.T) (string, error) {
	ids, err := a.host.Run(t.Context(), "skerry", "crictl", "pods", "-q", "--name", "web-"+a.name, "--state", "ready")
	if err != nil {
		return "", err
	}
	id := strings.TrimSpace(firstLine(ids))
	if id == "" {
		return "", errors.New("there is no pod yet")
	}
	out, err := a.host.Run(t.Context(), "skerry", "crictl", "inspectp", "-o", "go-template", "--template", "{{.status.network.ip}}", id)
	return strings.TrimSpace(out), err
}
