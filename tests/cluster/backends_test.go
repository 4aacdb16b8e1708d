package cluster_test

import (
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-io/skerry/tests/testhost"
)

// TestHostGateway: nodes of one network reach each other's pods by plain routes. In the end the agent's host is reset.
func TestHostGateway(t *testing.T) {
	c := newCluster(t, "flannel-backend: host-gw\n", []string{busybox})
	a := c.newAgent(t, "agent", nil)
	c.start(t)
	c.pair(t)
	t.Run("by plain routes", func(t *testing.T) {
		out, err := a.host.Run(t.Context(), "ip", "route", "get", c.pod(t, "web-server").Status.PodIP)
		if err != nil || !strings.Contains(out, "via "+c.host.Address()+" dev eth0") {
			t.Errorf("%q, %v", out, err)
		}
	})
	t.Run("pods send whole packets", func(t *testing.T) { c.mtu(t, "1500") })
	t.Run("a new address on the way", func(t *testing.T) { anotherAddress(t, c, a) })
	a.host.Readdress("10.200.0.12") // as the host was
	c.resetAgent(t, a)
}

// TestWireguard: pods reach each other encrypted, and also to and from a node behind a router that lets nobody in. In
// the end the agent's host is reset.
func TestWireguard(t *testing.T) {
	c := newCluster(t, "flannel-backend: wireguard-native\n", []string{busybox})
	a := c.newAgent(t, "agent", nil, testhost.BehindNAT())
	c.start(t)
	c.pair(t)
	t.Run("pods send packets with room for the rest", func(t *testing.T) { c.mtu(t, "1420") })
	t.Run("by the kernel, where it can", func(t *testing.T) { kernelWireGuard(t, a) })
	t.Run("nothing is sent in clear", func(t *testing.T) {
		tap := a.host.Tap("10.42.0.0/16")
		c.meet(t)
		if seen := tap.Seen(); len(seen) > 0 {
			t.Errorf("seen on the cable: %q", seen)
		}
	})
	c.resetAgent(t, a)
}

// kernelWireGuard: skerry leaves WireGuard to a kernel that has it.
func kernelWireGuard(t *testing.T, a *agent) {
	if out, err := a.host.Run(t.Context(), "ip", "link", "add", "wgprobe", "type", "wireguard"); err != nil {
		t.Skipf("this kernel has no WireGuard (ip link add type wireguard: %v, %s); what runs here is the one in user space", err, strings.TrimSpace(out))
	}
	_, _ = a.host.Run(t.Context(), "ip", "link", "delete", "wgprobe")
	out, err := a.host.Run(t.Context(), "ip", "-d", "link", "show", "flannel-wg")
	if err != nil || !strings.Contains(out, "wireguard") {
		t.Errorf("flannel-wg is not the kernel's: %v, %s", err, out)
	}
}

// TestDualStack: pods and Services have an address of each family, and every one of them is reached from every node. Nodes
// find their own addresses by themselves.
func TestDualStack(t *testing.T) {
	c := newCluster(t, "cluster-cidr: 10.42.0.0/16,fd42::/56\nservice-cidr: 10.43.0.0/16,fd43::/112\n", []string{busybox}, testhost.IPv6())
	a := c.newAgent(t, "agent", nil, testhost.IPv6())
	c.start(t)
	c.pair(t)
	c.applyText(t, `
apiVersion: v1
kind: Service
metadata: {name: both}
spec:
  type: NodePort
  ipFamilyPolicy: RequireDualStack
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080, nodePort: 30090}]
`)
	for _, name := range c.names() {
		if ips := c.pod(t, "web-"+name).Status.PodIPs; len(ips) != 2 || !strings.HasPrefix(ips[1].IP, "fd42:") {
			t.Fatalf("the pod on %s has the addresses %v", name, ips)
		}
	}
	service := c.clusterIPs(t, "both")
	if len(service) != 2 {
		t.Fatalf("the Service has the addresses %q", service)
	}
	for _, from := range c.names() {
		t.Run("from "+from, func(t *testing.T) {
			either := []string{"web-server", "web-agent"}
			for _, h := range []*testhost.Host{c.host, a.host} {
				pod := c.pod(t, "web-"+h.Name())
				c.reaches(t, "web-"+from, request{"the pod on " + h.Name(), pod.Status.PodIPs[1].IP, "8080", []string{"web-" + h.Name()}},
					request{"the NodePort of " + h.Name(), h.Address6(), "30090", either}, request{"the NodePort of " + h.Name(), h.Address(), "30090", either})
			}
			c.reaches(t, "web-"+from, request{"the Service", service[1], "80", either}, request{"the Service", service[0], "80", either})
		})
	}
	t.Run("the Nodes have both", func(t *testing.T) {
		for _, h := range []*testhost.Host{c.host, a.host} {
			c.nodeUntil(t, h.Name(), "has both addresses", func(n *corev1.Node) error {
				return errors.Join(hasAddress(n, h.Address()), hasAddress(n, h.Address6()))
			})
		}
	})
	t.Run("policies of each family", func(t *testing.T) { eachFamilyHasItsPolicy(t, c) })
}

// pair puts a pod on each node, with a Service, and wants them to reach each other.
func (c *cluster) pair(t *testing.T) {
	t.Helper()
	for _, name := range c.names() {
		c.create(t, webOn(name, "web-"+name, "web"))
	}
	for _, name := range c.names() {
		c.podReady(t, "web-"+name)
	}
	c.service(t, "web", "web", 0)
	t.Run("pods reach each other", func(t *testing.T) { c.meet(t) })
}

// meet: every pod reaches every pod and the Service, and more than a packet arrives.
func (c *cluster) meet(t *testing.T) {
	t.Helper()
	either := []string{"web-server", "web-" + c.agents[0].name}
	for _, from := range c.names() {
		c.exec(t, "web-"+from, "sh", "-c", "head -c 3000000 /dev/zero > /tmp/big")
		for _, to := range c.names() {
			c.reaches(t, "web-"+from, request{"the pod on " + to, c.pod(t, "web-"+to).Status.PodIP, "8080", []string{"web-" + to}})
		}
		c.reaches(t, "web-"+from, request{"the Service", c.clusterIP(t, "web"), "80", either})
	}
	for _, from := range c.names() {
		for _, to := range c.names() {
			get := "printf 'GET /big HTTP/1.0\\r\\n\\r\\n' | nc -w 10 " + c.pod(t, "web-"+to).Status.PodIP + " 8080 | tr -dc '\\000' | wc -c"
			if out := c.exec(t, "web-"+from, "sh", "-c", get); out != "3000000" {
				t.Errorf("of 3000000 bytes from %s to %s came %q", to, from, out)
			}
		}
	}
}

// mtu wants every pod's interface to take packets of so many bytes.
func (c *cluster) mtu(t *testing.T, want string) {
	t.Helper()
	for _, name := range c.names() {
		if out := c.exec(t, "web-"+name, "cat", "/sys/class/net/eth0/mtu"); out != want {
			t.Errorf("on %s it is %s, not %s", name, out, want)
		}
	}
}

// resetAgent: an agent that is stopped and reset leaves its host as it was.
func (c *cluster) resetAgent(t *testing.T, a *agent) {
	t.Run("reset leaves the host as it was", func(t *testing.T) {
		_ = a.stop(t)
		t.Log(a.skerry(t, "reset", "--yes"))
		a.isAs(t, a.before)
	})
}

// clusterIPs are the addresses of a Service.
func (c *cluster) clusterIPs(t *testing.T, service string) []string {
	t.Helper()
	s, err := c.api.CoreV1().Services(inDefault).Get(t.Context(), service, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return s.Spec.ClusterIPs
}
