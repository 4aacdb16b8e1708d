package cluster_test

import (
	"net/netip"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-io/skerry/tests/testhost"
)

// TestIPv6: a cluster without any IPv4 runs pods and Services, and pods reach the API by its
// Service. The host has IPv4 as well, which does not count.
func TestIPv6(t *testing.T) {
	c := newCluster(t, "cluster-cidr: fd42::/56\nservice-cidr: fd43::/112\n", []string{busybox}, testhost.IPv6())
	c.start(t)
	c.create(t, webOn("server", "web-server", "web"))
	c.podReady(t, "web-server")
	c.service(t, "web", "web", 0)
	if ips := c.pod(t, "web-server").Status.PodIPs; len(ips) != 1 || !strings.HasPrefix(ips[0].IP, "fd42:") {
		t.Fatalf("the pod has the addresses %v", ips)
	}
	c.reaches(t, "web-server", request{"the Service", c.clusterIP(t, "web"), "80", []string{"web-server"}})
	t.Run("the API is reached by its Service", func(t *testing.T) {
		kubernetes, err := c.api.CoreV1().Services("default").Get(t.Context(), "kubernetes", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if out := c.exec(t, "web-server", "sh", "-c", "nc -w 5 "+kubernetes.Spec.ClusterIP+" 443 < /dev/null && echo open"); out != "open" {
			t.Errorf("got %q", out)
		}
	})
	c.nodeUntil(t, "server", "has only its IPv6 address", func(n *corev1.Node) error {
		return hasAddress(n, netip.MustParseAddr(c.host.Address6()).String())
	})
	c.exec(t, "web-server", "true") // through the kubelet's own port
}
