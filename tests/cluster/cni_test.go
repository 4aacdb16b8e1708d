package cluster_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

const (
	cniDir     = agentDir + "/etc/cni/net.d"
	cniPlugins = agentDir + "/etc/cni/bin"
)

// ownConflist is a network as a user makes it: a program of his own, and two that are shipped.
const ownConflist = `{
  "cniVersion": "1.0.0",
  "name": "mine",
  "plugins": [
    {"type": "mine", "bridge": "mine0", "isGateway": true, "ipMasq": false, "mtu": 1400,
     "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.42.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}], "dataDir": "/run/mine"}},
    {"type": "portmap", "backend": "nftables", "snat": true, "capabilities": {"portMappings": true}}
  ]
}`

// ownPlugin notes that it was called, and has the shipped bridge do the work.
const ownPlugin = `#!/bin/sh
echo "$CNI_COMMAND" >> /var/log/mine.calls
IFS=:
for dir in $CNI_PATH; do
	[ -x "$dir/bridge" ] && exec "$dir/bridge"
done
exit 1
`

// TestOwnCNI: with the backend none a node waits for the user's CNI configuration, and runs pods by it; nothing of another
// backend is there.
func TestOwnCNI(t *testing.T) {
	n := newNode(t, []string{busybox})
	n.host.Write(configFile, []byte("flannel-backend: none\n"))
	n.serve()
	n.apiReady(t)
	c := &cluster{node: n}
	c.nodeUntil(t, "server", "waits for a configuration", func(node *corev1.Node) error {
		if why := notReady(node); !strings.Contains(why, "cni") && !strings.Contains(why, "CNI") {
			return fmt.Errorf("it says %q", why)
		}
		return nil
	})
	n.host.Write(cniPlugins+"/mine", []byte(ownPlugin))
	if out, err := n.host.Run(t.Context(), "chmod", "755", cniPlugins+"/mine"); err != nil {
		t.Fatal(out, err)
	}
	n.host.Write(cniDir+"/10-mine.conflist", []byte(ownConflist))
	n.ready(t)
	web := webOn("server", "web-server", "web")
	web.Spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 8080, HostPort: 18080}}
	n.create(t, web)
	n.podReady(t, "web-server")
	n.create(t, webOn("server", "other", "other"))
	n.podReady(t, "other")
	c.service(t, "web", "web", 0)
	c.reaches(t, "other", request{"the pod", n.pod(t, "web-server").Status.PodIP, "8080", []string{"web-server"}},
		request{"the Service", c.clusterIP(t, "web"), "80", []string{"web-server"}})
	n.eventually(t, "the host port answers", func() error {
		out, err := get(n.lab.HTTP(), "http://"+n.host.Address()+":18080/index.html")
		return errors.Join(err, oneOf(out, []string{"web-server"}))
	})
	if out := n.exec(t, "other", "cat", "/sys/class/net/eth0/mtu"); out != "1400" {
		t.Errorf("the pod's MTU is %s", out)
	}
	if calls, err := n.host.Read("/var/log/mine.calls"); err != nil || !strings.Contains(string(calls), "ADD") {
		t.Errorf("the user's program was called with %q, %v", calls, err)
	}
	if links := c.links(t, n); strings.Contains(links, "flannel") || strings.Contains(links, "cni0") || !strings.Contains(links, "mine0") {
		t.Errorf("the interfaces are\n%s", links)
	}
	if found := n.files(cniDir + "/*skerry*"); len(found) > 0 {
		t.Errorf("there is %q", found)
	}
}

// links are the names of a host's interfaces, one a line.
func (c *cluster) links(t *testing.T, n *node) string {
	t.Helper()
	out, err := n.host.Run(t.Context(), "ip", "-o", "link", "show")
	if err != nil {
		t.Fatal(out, err)
	}
	return out
}

// TestAnotherBackend: a cluster of vxlan becomes one of host-gw, and nothing of vxlan is left on any node.
func TestAnotherBackend(t *testing.T) {
	c := newCluster(t, "", []string{busybox})
	a := c.newAgent(t, "agent", nil)
	c.start(t)
	c.pair(t)
	for _, n := range []*node{c.node, a.node} {
		if links := c.links(t, n); !strings.Contains(links, "flannel.1") {
			t.Fatalf("there is no vxlan to begin with:\n%s", links)
		}
	}
	c.switchTo(t, a, "flannel-backend: host-gw\n")
	t.Run("nothing of the old one is left", func(t *testing.T) {
		for _, n := range []*node{c.node, a.node} {
			c.eventually(t, "on "+n.host.Name(), func() error {
				routes, err := n.host.Run(t.Context(), "ip", "route", "show", "proto", "83")
				if links := c.links(t, n); err != nil || strings.Contains(links, "flannel") || strings.Count(routes, "\n") != 1 || !strings.Contains(routes, "dev eth0") {
					return fmt.Errorf("links\n%s\nroutes\n%s, %w", links, routes, err)
				}
				return nil
			})
		}
	})
	t.Run("pods from before reach each other", func(t *testing.T) { c.meet(t) })
	t.Run("and back", func(t *testing.T) {
		c.switchTo(t, a, "")
		c.meet(t)
	})
}

// switchTo gives the server other settings. The agent learns them when it has started, and has them from its next start on.
func (c *cluster) switchTo(t *testing.T, a *agent, settings string) {
	t.Helper()
	_ = c.stop(t)
	c.host.Write(configFile, []byte(settings))
	c.serve()
	c.apiReady(t)
	_ = a.stop(t)
	a.join(t, c)
	c.eventually(t, "the agent learns the settings", func() error {
		if !strings.Contains(a.proc.Output(), "from its next start on") {
			return errors.New("it says nothing of it")
		}
		return nil
	})
	_ = a.stop(t)
	a.join(t, c)
	c.allReady(t)
}
