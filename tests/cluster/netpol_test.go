package cluster_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// TestNetworkPolicy: policies hold on every path between pods, for pods that start while they hold, for connections that were
// there before, and while nodes restart.
func TestNetworkPolicy(t *testing.T) {
	c := newCluster(t, "", []string{busybox})
	left := c.newAgent(t, "left", nil)
	c.start(t)
	w := newWalls(t, c)
	t.Run("without policies", func(t *testing.T) {
		w.become(t, func(from, to end, port string) bool { return true })
		w.ruled(t, false)
	})
	for _, s := range wallCases() {
		t.Run(s.name, func(t *testing.T) {
			c.applyText(t, s.policies)
			w.become(t, s.want)
			w.ruled(t, true)
			c.kubectl(t, "delete", "networkpolicy", "-A", "--all")
		})
	}
	t.Run("no policy, no rule", func(t *testing.T) { w.ruled(t, false) })
	t.Run("a connection that was there before", func(t *testing.T) { cutOff(t, w) })
	t.Run("pods that start", func(t *testing.T) { lateComers(t, w) })
	t.Run("a policy that cannot be kept", func(t *testing.T) { oddPolicy(t, w) })
	t.Run("nodes that restart", func(t *testing.T) { restarts(t, w, left) })
	t.Run("switched off", func(t *testing.T) { switchedOff(t, w, left) })
	t.Run("reset", func(t *testing.T) {
		_ = left.stop(t)
		t.Log(left.skerry(t, "reset", "--yes"))
		left.isAs(t, left.before)
	})
}

// end is a pod of the matrix. There is one of each namespace on each node.
type end struct{ namespace, node, ip string }

func (e end) name() string { return e.namespace + "-" + e.node }

// walls is a cluster with the pods of the matrix. All of them answer on the ports 8080, named web, and 8081, and echo on 7000.
type walls struct {
	*cluster
	ends []end
}

func wallNamespaces() []string { return []string{"red", "green", "blue"} }

func wallPorts() []string { return []string{"8080", "8081"} }

func newWalls(t *testing.T, c *cluster) *walls {
	t.Helper()
	w := &walls{cluster: c}
	for _, namespace := range wallNamespaces() {
		c.applyText(t, fmt.Sprintf("apiVersion: v1\nkind: Namespace\nmetadata: {name: %s, labels: {color: %s}}\n", namespace, namespace))
		c.eventually(t, namespace+" can have pods", func() error {
			_, err := c.api.CoreV1().ServiceAccounts(namespace).Get(t.Context(), "default", metav1.GetOptions{})
			return err
		})
		for _, node := range c.names() {
			e := end{namespace: namespace, node: node}
			pod := sleeper(e.name())
			pod.Labels = map[string]string{"app": namespace, "node": node}
			pod.Spec.NodeName = node
			main := &pod.Spec.Containers[0]
			main.Command = []string{"sh", "-c", "echo hello > /tmp/index.html; httpd -p 8081 -h /tmp; nc -ll -p 7000 -e cat & exec httpd -f -p 8080 -h /tmp"}
			main.Ports = []corev1.ContainerPort{{Name: "web", ContainerPort: 8080}}
			main.ReadinessProbe = &corev1.Probe{PeriodSeconds: 1, FailureThreshold: 1, ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Port: intstr.FromInt32(8080), Path: "/"}}}
			if _, err := c.api.CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			w.ends = append(w.ends, e)
		}
	}
	for i := range w.ends {
		w.ends[i].ip = w.addressIn(t, w.ends[i].namespace, w.ends[i].name())
	}
	return w
}

// addressIn waits until a pod is ready and gives its address.
func (w *walls) addressIn(t *testing.T, namespace, name string) string {
	t.Helper()
	var ip string
	w.eventually(t, "pod "+name+" is ready", func() error {
		p, err := w.api.CoreV1().Pods(namespace).Get(t.Context(), name, metav1.GetOptions{})
		if err == nil && !isReady(p) {
			err = errors.New(brief(p))
		}
		if err == nil {
			ip = p.Status.PodIP
		}
		return err
	})
	return ip
}

// in runs a shell command in a pod.
func (w *walls) in(t *testing.T, e end, command string) (string, error) {
	t.Helper()
	return w.try(t, "kubectl", "exec", "-n", e.namespace, e.name(), "--", "sh", "-c", command)
}

// hello is a shell command that ends well when the pod at an address answers within so many seconds.
func hello(ip, port string, seconds int) string {
	return fmt.Sprintf(`printf 'GET / HTTP/1.0\r\n\r\n' | nc -w %d %s %s 2>/dev/null | grep -q hello`, seconds, ip, port)
}

// become waits until exactly those connections of all that are possible come about that should.
func (w *walls) become(t *testing.T, want func(from, to end, port string) bool) {
	t.Helper()
	differences := func() error {
		errs := make([]error, len(w.ends))
		var wait sync.WaitGroup
		for i, from := range w.ends {
			wait.Go(func() { errs[i] = w.differs(t, from, want) })
		}
		wait.Wait()
		return errors.Join(errs...)
	}
	w.eventually(t, "the matrix is as it should be", differences)
	for _, e := range w.ends { // the kubelet's probes go on
		_ = w.addressIn(t, e.namespace, e.name())
	}
	if err := differences(); err != nil {
		t.Errorf("it does not stay: %v", err)
	}
}

// differs says which connections of a pod are not as they should be.
func (w *walls) differs(t *testing.T, from end, want func(from, to end, port string) bool) error {
	t.Helper()
	var script strings.Builder
	for _, to := range w.ends {
		for _, port := range wallPorts() {
			fmt.Fprintf(&script, "(%s && echo %s:%s) 2>/dev/null & ", hello(to.ip, port, 2), to.ip, port)
		}
	}
	out, err := w.in(t, from, script.String()+"wait")
	if err != nil {
		return err
	}
	var errs []error
	open := strings.Fields(out)
	for _, to := range w.ends {
		for _, port := range wallPorts() {
			if is := slices.Contains(open, to.ip+":"+port); is != want(from, to, port) {
				errs = append(errs, fmt.Errorf("%s to %s at %s: open is %t", from.name(), to.name(), port, is))
			}
		}
	}
	return errors.Join(errs...)
}

// ruled waits until all nodes have rules, or none has.
func (w *walls) ruled(t *testing.T, want bool) {
	t.Helper()
	for _, name := range w.names() {
		w.eventually(t, fmt.Sprintf("rules on %s: %t", name, want), func() error {
			if has := strings.Contains(w.tables(t, name), "skerry-netpol"); has != want {
				return fmt.Errorf("has rules is %t", has)
			}
			return nil
		})
	}
}

func (w *walls) tables(t *testing.T, node string) string {
	t.Helper()
	out, err := w.hostOf(node).Run(t.Context(), "nft", "list", "tables")
	if err != nil {
		t.Fatal(err)
	}
	return out
}

type wallCase struct {
	name, policies string
	want           func(from, to end, port string) bool
}

func wallCases() []wallCase {
	policy := func(namespace, name, spec string) string {
		return fmt.Sprintf("---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: %s, namespace: %s}\nspec: %s\n", name, namespace, spec)
	}
	return []wallCase{
		{"nobody comes in", policy("red", "closed", `{podSelector: {}}`),
			func(from, to end, _ string) bool { return to.namespace != "red" || from == to }},
		{"nobody goes out", policy("red", "closed", `{podSelector: {}, policyTypes: [Egress]}`),
			func(from, to end, _ string) bool { return from.namespace != "red" || from == to }},
		{"a namespace and a named port", policy("red", "closed", `{podSelector: {}}`) +
			policy("red", "green", `{podSelector: {matchLabels: {node: left}}, ingress: [{from: [{namespaceSelector: {matchLabels: {color: green}}}], ports: [{port: web}]}]}`),
			func(from, to end, port string) bool {
				return to.namespace != "red" || from == to || from.namespace == "green" && to.node == "left" && port == "8080"
			}},
		{"pods of a namespace and a range of ports", policy("red", "both",
			`{podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {node: server}}, namespaceSelector: {matchExpressions: [{key: color, operator: In, values: [blue, red]}]}}], ports: [{port: 8081, endPort: 9000}]}]}`),
			func(from, to end, port string) bool {
				return to.namespace != "red" || from == to || from.namespace != "green" && from.node == "server" && port == "8081"
			}},
		{"out of one, into another", policy("green", "out", `{podSelector: {}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {matchLabels: {color: blue}}}]}]}`) +
			policy("blue", "in", `{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {color: green}}}], ports: [{port: 8081}]}]}`),
			func(from, to end, port string) bool {
				if from == to {
					return true
				}
				out := from.namespace != "green" || to.namespace == "blue"
				in := to.namespace != "blue" || from.namespace == "green" && port == "8081"
				return out && in
			}},
		{"the pods' range, without one node's", policy("blue", "block", `{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.42.0.0/16, except: [10.42.0.0/24]}}]}]}`),
			func(from, to end, _ string) bool {
				return to.namespace != "blue" || from == to || !strings.HasPrefix(from.ip, "10.42.0.")
			}},
	}
}

// oddPolicy: a named port that no pod has opens nothing and harms nobody.
func oddPolicy(t *testing.T, w *walls) {
	w.applyText(t, `{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: odd, namespace: red}, spec: {podSelector: {}, ingress: [{ports: [{port: nowhere}, {port: 5, endPort: 5, protocol: SCTP}]}, {from: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8]}}]}]}}`)
	w.applyText(t, `{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: other, namespace: blue}, spec: {podSelector: {}, ingress: [{from: [{podSelector: {}}]}]}}`)
	w.become(t, func(from, to end, _ string) bool {
		return from == to || to.namespace != "red" && (to.namespace != "blue" || from.namespace == "blue")
	})
	out, err := w.try(t, "status")
	if err != nil || !strings.Contains(out, "network-policy") {
		t.Errorf("status: %v\n%s", err, out)
	}
}

// restarts: rules stand while a node is away, and while it comes back.
func restarts(t *testing.T, w *walls, left *agent) {
	from, to := w.ends[5], w.ends[1] // blue-left to red-left, which oddPolicy has closed
	if _, err := w.in(t, from, fmt.Sprintf("(until test -e /tmp/stop; do (%s && touch /tmp/breach) & usleep 50000; done) >/dev/null 2>&1 </dev/null &", hello(to.ip, "8080", 1))); err != nil {
		t.Fatal(err)
	}
	rules := func() string {
		out, err := left.host.Run(t.Context(), "nft", "list", "table", "inet", "skerry-netpol")
		if err != nil {
			t.Fatal(err)
		}
		words := strings.Fields(strings.ReplaceAll(out, ",", "")) // the kernel lists them in any order
		slices.Sort(words)
		return strings.Join(words, " ")
	}
	before := rules()
	_ = w.stop(t)
	left.proc.Kill()
	if now := rules(); now != before {
		t.Errorf("the rules have changed:\n%s\nbefore:\n%s", now, before)
	}
	left.join(t, w.cluster)
	w.serve()
	w.apiReady(t)
	w.allReady(t)
	w.create(t, webOn("left", "after", "after"))
	w.podReady(t, "after")
	if now := rules(); now != before {
		t.Errorf("the rules have changed:\n%s\nbefore:\n%s", now, before)
	}
	if out, err := w.in(t, from, "touch /tmp/stop; ls /tmp"); err != nil || strings.Contains(out, "breach") {
		t.Errorf("something got through: %q, %v", out, err)
	}
}

// switchedOff: nothing of it stays, and everything is open.
func switchedOff(t *testing.T, w *walls, left *agent) {
	w.again(t, "disable: [network-policy]\n")
	_ = left.stop(t)
	left.join(t, w.cluster)
	w.allReady(t)
	w.ruled(t, false)
	w.become(t, func(from, to end, port string) bool { return true })
	_ = left.stop(t) // the first start has learned of it, and had to go on answering
	left.join(t, w.cluster)
	w.allReady(t)
	for _, host := range []*node{w.node, left.node} {
		w.eventually(t, "no file is left", func() error {
			if found := append(host.files("/run/skerry/containerd/netpol*"), host.files("/var/lib/skerry/agent/network-policies")...); len(found) > 0 {
				return fmt.Errorf("left are %q", found)
			}
			return nil
		})
	}
	if out, err := w.try(t, "kubectl", "get", "clusterrole", "skerry:network-policy"); err == nil {
		t.Errorf("the right is there: %s", out)
	}
	w.create(t, webOn("left", "plain", "plain"))
	w.podReady(t, "plain")
}
