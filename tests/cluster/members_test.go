package cluster_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-io/skerry/tests/testhost"
)

const (
	tokenFile = serverDir + "/token"
	// notReadyAfter is how long a node may be silent in clusters of these tests. It is shorter than usual so that nobody
	// has to wait, and long enough for a kubelet, which says something every ten seconds.
	notReadyAfter = "16s"
)

// cluster is a server, with a node of its own, and agents. Objects are made through the server.
type cluster struct {
	*node
	images []string
	agents []*agent
}

// agent is a host with a node on it that has its server elsewhere. Of node, what needs the API does not work on it.
type agent struct {
	*node
	name   string
	args   []string          // of skerry agent, after the server and the token
	before testhost.Snapshot // of the host, as it was made
}

// newCluster makes the server's host. It starts nothing. The settings are the server's, as in a config file.
func newCluster(t *testing.T, settings string, images []string, options ...testhost.Option) *cluster {
	t.Helper()
	n := newNode(t, images, options...)
	n.host.Write(configFile, []byte(settings))
	return &cluster{node: n, images: images}
}

// quickly are settings of a server that gives a silent node up soon.
func quickly() string {
	return "kube-controller-manager-arg: [node-monitor-grace-period=" + notReadyAfter + ", node-monitor-period=1s]\n"
}

// newAgent makes the host of an agent. It starts nothing.
func (c *cluster) newAgent(t *testing.T, name string, args []string, options ...testhost.Option) *agent {
	t.Helper()
	a := &agent{node: &node{lab: c.lab, host: c.lab.Host(name, append(programs(t), options...)...)}, name: name, args: args}
	a.before = a.host.Snapshot()
	for _, image := range c.images {
		a.place(t, archive(t, image))
	}
	c.agents = append(c.agents, a)
	return a
}

// start starts the server and then all agents, and waits until all nodes are Ready.
func (c *cluster) start(t *testing.T) {
	t.Helper()
	c.serve()
	c.apiReady(t)
	for _, a := range c.agents {
		a.join(t, c)
	}
	c.allReady(t)
}

// url is where agents find the server.
func (c *cluster) url() string { return "https://" + c.host.Address() + ":6443" }

// token is the server's own.
func (c *cluster) token(t *testing.T) string {
	t.Helper()
	text, err := c.host.Read(tokenFile)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

// join starts the agent with the server's token and does not wait.
func (a *agent) join(t *testing.T, c *cluster) {
	t.Helper()
	a.proc = a.host.Start(append([]string{"skerry", "agent", "--server", c.url(), "--token", c.token(t)}, a.args...)...)
}

// names are those of all nodes there should be.
func (c *cluster) names() []string {
	all := []string{c.host.Name()}
	for _, a := range c.agents {
		all = append(all, a.name)
	}
	return all
}

// allReady waits until there are exactly the nodes of this cluster and all are Ready.
func (c *cluster) allReady(t *testing.T) {
	t.Helper()
	c.eventually(t, fmt.Sprintf("the nodes %q are Ready", c.names()), func() error {
		c.alive(t)
		return c.readyAre(t, c.names()...)
	})
}

// alive fails the test at once when an agent that should run has ended.
func (c *cluster) alive(t *testing.T) {
	t.Helper()
	for _, a := range c.agents {
		if a.proc != nil && a.host.Up() && !a.proc.Running() {
			t.Fatalf("skerry on %s has ended; it wrote\n%s", a.name, tail(a.proc.Output(), 30))
		}
	}
}

// readyAre is nil when there are exactly these nodes and all are Ready.
func (c *cluster) readyAre(t *testing.T, names ...string) error {
	t.Helper()
	nodes, err := c.api.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		return err
	}
	missing := map[string]bool{}
	for _, name := range names {
		missing[name] = true
	}
	var errs []error
	for i := range nodes.Items {
		n := &nodes.Items[i]
		if !missing[n.Name] {
			errs = append(errs, fmt.Errorf("there is a node %s", n.Name))
		}
		delete(missing, n.Name)
		if why := notReady(n); why != "" {
			errs = append(errs, fmt.Errorf("%s is not: %s", n.Name, why))
		}
	}
	for name := range missing {
		errs = append(errs, fmt.Errorf("there is no %s", name))
	}
	return errors.Join(errs...)
}

// notReady says why a node is not Ready, empty when it is.
func notReady(n *corev1.Node) string {
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue {
			return ""
		}
		if c.Type == corev1.NodeReady {
			return c.Reason + " " + c.Message
		}
	}
	return "it has not said anything"
}

// nodeUntil waits until check is content with a Node.
func (c *cluster) nodeUntil(t *testing.T, name, what string, check func(*corev1.Node) error) {
	t.Helper()
	c.eventually(t, "node "+name+" "+what, func() error {
		n, err := c.api.CoreV1().Nodes().Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		return check(n)
	})
}

// webOn is a pod on one node that answers with its own name on port 8080. label is its label app.
func webOn(node, name, label string) *corev1.Pod {
	pod := sleeper(name)
	pod.Labels["app"] = label
	pod.Spec.NodeName = node
	pod.Spec.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}} // it stays when its node is away
	pod.Spec.Containers[0].Command = []string{"sh", "-c", "echo " + name + " > /tmp/index.html; exec httpd -f -p 8080 -h /tmp"}
	return pod
}

// service makes a Service of pods with the label app, on port 80 and, when it is not 0, on a NodePort.
func (c *cluster) service(t *testing.T, name, app string, nodePort int32) {
	t.Helper()
	kind := "ClusterIP"
	if nodePort != 0 {
		kind = "NodePort"
	}
	c.applyText(t, fmt.Sprintf(`
apiVersion: v1
kind: Service
metadata: {name: %s}
spec:
  type: %s
  selector: {app: %s}
  ports: [{port: 80, targetPort: 8080, nodePort: %d}]
`, name, kind, app, nodePort))
}

// files lists files of the host that match a pattern, as the host names them.
func (n *node) files(pattern string) []string {
	found, _ := filepath.Glob(n.host.Path(pattern))
	for i := range found {
		found[i] = strings.TrimPrefix(found[i], n.host.Path(""))
	}
	return found
}
