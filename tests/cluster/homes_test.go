package cluster_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/skerry-io/skerry/tests/testhost"
)

// homeAddress is what every host behind a router of this lab has.
const homeAddress = "192.168.77.10"

// TestTwoHomes: two agents behind different routers have the same address, the server has it as well, and whatever is
// asked of a kubelet goes to the right one.
func TestTwoHomes(t *testing.T) {
	c := newCluster(t, "", []string{busybox})
	if out, err := c.host.Run(t.Context(), "ip", "address", "add", homeAddress+"/32", "dev", "lo"); err != nil {
		t.Fatal(out, err)
	}
	c.host.Write(configFile, fmt.Appendf(nil, "node-ip: %s\ntls-san: [%s]\nflannel-iface: eth0\n", homeAddress, c.host.Address()))
	homes := []*agent{c.newAgent(t, "home-a", nil, testhost.BehindNAT()), c.newAgent(t, "home-b", nil, testhost.BehindNAT())}
	for _, home := range homes {
		home.host.CloseInbound()
	}
	c.start(t)
	for _, name := range c.names() {
		c.create(t, webOn(name, "web-"+name, "web"))
	}
	for _, name := range c.names() {
		c.podReady(t, "web-"+name)
		c.nodeUntil(t, name, "has the address of all", func(n *corev1.Node) error { return hasAddress(n, homeAddress) })
	}
	t.Run("hands", func(t *testing.T) {
		for _, name := range c.names() {
			t.Run("on "+name, func(t *testing.T) {
				t.Parallel()
				if out := c.exec(t, "web-"+name, "cat", "/tmp/index.html"); out != "web-"+name {
					t.Errorf("exec leads to %s", out)
				}
				handsOn(t, c, name)
				attached(t, c, name)
			})
		}
	})
	t.Run("kubectl top", func(t *testing.T) {
		c.eventually(t, "there are figures of every node and pod", func() error {
			nodes, err1 := c.try(t, "kubectl", "top", "nodes", "--no-headers")
			pods, err2 := c.try(t, "kubectl", "top", "pods", "--no-headers")
			for _, name := range c.names() {
				if !strings.Contains(nodes, name+" ") || !strings.Contains(pods, "web-"+name+" ") || strings.Contains(nodes, "<unknown>") {
					return errors.Join(fmt.Errorf("of %s there are none: %s %s", name, nodes, pods), err1, err2)
				}
			}
			return nil
		})
	})
}

// attached: what a pod's program writes arrives at kubectl attach, and what is typed arrives at the program.
func attached(t *testing.T, c *cluster, node string) {
	pod := webOn(node, "echo-"+node, "echo")
	pod.Spec.Containers[0].Stdin = true
	pod.Spec.Containers[0].Command = []string{"sh", "-c", "while read -r line; do echo " + node + " heard $line; done"}
	c.create(t, pod)
	c.podReady(t, pod.Name)
	c.eventually(t, "kubectl attach to "+pod.Name, func() error {
		// An attachment ends with its input, whether what the program wrote has come or not.
		out, err := c.host.Run(t.Context(), "sh", "-c", "{ echo abc; sleep 2; } | skerry kubectl attach -i -q "+pod.Name)
		if !strings.Contains(out, node+" heard abc") {
			return fmt.Errorf("%q, %w", out, err)
		}
		return nil
	})
	c.kubectl(t, "delete", "pod", "--wait=false", pod.Name)
}
