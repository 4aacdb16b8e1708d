package cluster_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// followWithin is how long a node may take to tell everybody its new address.
const followWithin = 30 * time.Second

// anotherAddress: a node whose address changes while it runs says so everywhere, and its pods are reached as before.
func anotherAddress(t *testing.T, c *cluster, moved *agent) {
	const address = "10.200.0.77"
	before := identity(c.pod(t, "web-"+moved.name))
	moved.host.Readdress(address)
	begin := time.Now()
	c.nodeUntil(t, moved.name, "has the new address", func(n *corev1.Node) error {
		return errors.Join(hasAddress(n, address), flannelSays(n, address), c.serves(t, address))
	})
	took := time.Since(begin).Round(100 * time.Millisecond)
	t.Logf("the Node, flannel's annotation and the certificate followed within %v", took)
	if took > followWithin {
		t.Errorf("it took %v, more than %v", took, followWithin)
	}
	c.allReady(t)
	for _, from := range c.near() {
		c.reaches(t, "web-"+from, request{"the pod there", c.pod(t, "web-"+moved.name).Status.PodIP, "8080", []string{"web-" + moved.name}})
	}
	c.reaches(t, "web-"+moved.name, request{"a pod elsewhere", c.pod(t, "web-server").Status.PodIP, "8080", []string{"web-server"}})
	if err := c.execs(t, "web-"+moved.name); err != nil {
		t.Error(err)
	}
	if now := identity(c.pod(t, "web-"+moved.name)); now != before {
		t.Errorf("its pod was\n%s\nis\n%s", before, now)
	}
}

func hasAddress(n *corev1.Node, address string) error {
	for _, a := range n.Status.Addresses {
		if a.Type == corev1.NodeInternalIP && a.Address == address {
			return nil
		}
	}
	return fmt.Errorf("the Node says %v", n.Status.Addresses)
}

func flannelSays(n *corev1.Node, address string) error {
	if got := n.Annotations["flannel.alpha.coreos.com/public-ip"]; got != address {
		return fmt.Errorf("flannel's annotation says %q", got)
	}
	return nil
}

// serves is nil when the kubelet at the address shows a certificate for it.
func (c *cluster) serves(t *testing.T, address string) error {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	plain, err := c.lab.Dial(ctx, "tcp", net.JoinHostPort(address, "10250"))
	if err != nil {
		return err
	}
	defer plain.Close()
	conn := tls.Client(plain, &tls.Config{InsecureSkipVerify: true})
	if err := conn.HandshakeContext(ctx); err != nil {
		return err
	}
	return conn.ConnectionState().PeerCertificates[0].VerifyHostname(address)
}

// anotherName: a node that boots with another hostname is the same node.
func anotherName(t *testing.T, c *cluster, renamed *agent) {
	before := c.pod(t, "web-"+renamed.name)
	renamed.host.Rename("renamed")
	renamed.host.PowerCycle()
	renamed.join(t, c)
	c.podUntil(t, before.Name, "runs again", func(p *corev1.Pod) error {
		if !isReady(p) || identity(p) == identity(before) || p.UID != before.UID {
			return fmt.Errorf("it is %s", identity(p))
		}
		return nil
	})
	c.allReady(t)
	c.eventually(t, "the server reaches its pod", func() error { return c.execs(t, before.Name) })
}
