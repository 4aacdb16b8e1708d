package cluster_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-io/skerry/tests/testhost"
)

// poolAddress is the only one of the pool; of the lab's network, and no host's.
const poolAddress = "10.200.0.200"

// TestServiceLoadBalancer: Services are reached from another machine by the addresses of nodes, and by one of their own that
// moves when the node that answers for it dies.
func TestServiceLoadBalancer(t *testing.T) {
	c := newCluster(t, "", []string{busybox})
	c.newAgent(t, "left", nil)
	c.newAgent(t, "right", nil)
	client := c.lab.Host("client")
	c.start(t)
	for _, name := range []string{"server", "right"} {
		c.create(t, mirrorOn(name))
	}
	c.podsReady(t, "mirror", 2)
	t.Run("addresses of nodes", func(t *testing.T) { byNodes(t, c, client) })
	t.Run("the client's address is kept", func(t *testing.T) { localOnly(t, c, client) })
	t.Run("one port for two", func(t *testing.T) { portClash(t, c, client) })
	t.Run("ports that nodes need", func(t *testing.T) { portRefused(t, c) })
	t.Run("a class of someone else", func(t *testing.T) { otherClass(t, c) })
	t.Run("only the nodes of a pool", func(t *testing.T) { pooled(t, c, client) })
	t.Run("an address of its own", func(t *testing.T) { byPool(t, c, client) })
	t.Run("switched off", func(t *testing.T) {
		c.again(t, "disable: [servicelb]\n")
		c.balanced(t, "web", "")
		c.eventually(t, "no host has the address", func() error {
			if on := c.whoHas(t); len(on) > 0 {
				return fmt.Errorf("%q have it", on)
			}
			return nil
		})
		web, err := c.api.CoreV1().Services(inDefault).Get(t.Context(), "web", metav1.GetOptions{})
		if err != nil || web.Labels["skerry.io/servicelb"] != "" || web.Annotations["skerry.io/servicelb-announcers"] != "" {
			t.Errorf("it bears %v and %v, %v", web.Labels, web.Annotations, err)
		}
	})
}

// mirrorOn is a pod that tells its node and who asks.
func mirrorOn(node string) *corev1.Pod {
	pod := webOn(node, "mirror-"+node, "mirror")
	pod.Spec.Containers[0].Command = []string{"sh", "-c", `mkdir -p /tmp/cgi-bin
printf '#!/bin/sh\nprintf "Content-Type: text/plain\\r\\n\\r\\n` + node + ` sees $REMOTE_ADDR"\n' > /tmp/cgi-bin/who
chmod +x /tmp/cgi-bin/who
exec httpd -f -p 8080 -h /tmp`}
	return pod
}

// balance makes a Service of the mirrors. more is further lines of its spec.
func (c *cluster) balance(t *testing.T, name string, port int, more string) {
	t.Helper()
	c.applyText(t, fmt.Sprintf(`
apiVersion: v1
kind: Service
metadata: {name: %s}
spec:
  type: LoadBalancer
  selector: {app: mirror}
  ports: [{port: %d, targetPort: 8080}]
  %s
`, name, port, more))
}

// balanced waits until a Service has exactly these addresses.
func (c *cluster) balanced(t *testing.T, name, want string) {
	t.Helper()
	c.eventually(t, fmt.Sprintf("Service %s has the addresses %q", name, want), func() error {
		s, err := c.api.CoreV1().Services(inDefault).Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		var all []string
		for _, in := range s.Status.LoadBalancer.Ingress {
			all = append(all, in.IP)
		}
		slices.Sort(all)
		if got := strings.Join(all, " "); got != want {
			return fmt.Errorf("it has %q", got)
		}
		return nil
	})
}

// who asks a mirror, as another machine does.
func who(client *testhost.Host, address string, port int, patience time.Duration) (string, error) {
	web := client.HTTP()
	web.Timeout = patience
	return get(web, fmt.Sprintf("http://%s:%d/cgi-bin/who", address, port))
}

func byNodes(t *testing.T, c *cluster, client *testhost.Host) {
	c.balance(t, "web", 80, "")
	var all []string
	for _, name := range c.names() {
		all = append(all, c.addressOf(name))
	}
	slices.Sort(all)
	c.balanced(t, "web", strings.Join(all, " "))
	for _, address := range all {
		c.eventually(t, address+" answers", func() error {
			_, err := who(client, address, 80, time.Second)
			return err
		})
	}
	t.Run("not those of a node that is cordoned", func(t *testing.T) {
		c.kubectl(t, "cordon", "left")
		c.balanced(t, "web", strings.Join(slices.DeleteFunc(slices.Clone(all), func(ip string) bool { return ip == c.addressOf("left") }), " "))
		c.kubectl(t, "uncordon", "left")
		c.balanced(t, "web", strings.Join(all, " "))
	})
}

func localOnly(t *testing.T, c *cluster, client *testhost.Host) {
	c.balance(t, "local", 81, "externalTrafficPolicy: Local")
	both := []string{c.addressOf("server"), c.addressOf("right")}
	slices.Sort(both)
	c.balanced(t, "local", strings.Join(both, " "))
	for _, node := range []string{"server", "right"} {
		c.eventually(t, node+" sees "+client.Address(), func() error {
			out, err := who(client, c.addressOf(node), 81, time.Second)
			if err == nil && (!strings.HasPrefix(out, node+" sees ") || !strings.Contains(out, client.Address())) { // [::ffff:ADDRESS]
				err = fmt.Errorf("it says %q", out)
			}
			return err
		})
	}
}

func portClash(t *testing.T, c *cluster, client *testhost.Host) {
	c.balance(t, "second", 80, "")
	c.eventually(t, "the second is told who is the first", func() error {
		if told := c.events(t, "second"); !strings.Contains(told, "PortTaken") || !strings.Contains(told, "default/web") {
			return fmt.Errorf("its events are %q", told)
		}
		return nil
	})
	c.balanced(t, "second", "")
	if row := c.status(t).row("servicelb", "default/second"); row.State != "refused" || !row.OK || !strings.Contains(row.Error, "default/web") {
		t.Errorf("the status tells %+v", row)
	}
	if _, err := who(client, c.addressOf("left"), 80, 5*time.Second); err != nil {
		t.Error(err)
	}
	c.kubectl(t, "delete", "service", "second")
}

func portRefused(t *testing.T, c *cluster) {
	c.balance(t, "greedy", 6443, "")
	c.eventually(t, "it is told that nodes need the port", func() error {
		if told := c.events(t, "greedy"); !strings.Contains(told, "PortReserved") {
			return fmt.Errorf("its events are %q", told)
		}
		return nil
	})
	c.balanced(t, "greedy", "")
	c.allReady(t)
	c.kubectl(t, "delete", "service", "greedy")
}

// otherClass: a Service that names its load balancer is left to that one, with what it has from there.
func otherClass(t *testing.T, c *cluster) {
	c.balance(t, "foreign", 82, "loadBalancerClass: example.com/other")
	c.kubectl(t, "patch", "service", "foreign", "--subresource=status", "--type=merge", "-p", `{"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.77"}]}}}`)
	c.balance(t, "mine", 83, "")
	c.eventually(t, "a later Service has addresses", func() error {
		s, err := c.api.CoreV1().Services(inDefault).Get(t.Context(), "mine", metav1.GetOptions{})
		if err == nil && len(s.Status.LoadBalancer.Ingress) == 0 {
			err = errors.New("it has none")
		}
		return err
	})
	c.balanced(t, "foreign", "192.0.2.77")
	s, err := c.api.CoreV1().Services(inDefault).Get(t.Context(), "foreign", metav1.GetOptions{})
	if err != nil || s.Labels["skerry.io/servicelb"] != "" || c.events(t, "foreign") != "" {
		t.Errorf("it bears %v, %v, and was told %q", s.Labels, err, c.events(t, "foreign"))
	}
	c.kubectl(t, "delete", "service", "foreign", "mine")
}

// pooled: a Service with a pool's label has the addresses of the nodes with the same label, in the words of k3s too.
func pooled(t *testing.T, c *cluster, client *testhost.Host) {
	c.kubectl(t, "label", "node", "left", "skerry.io/lbpool=edge")
	c.kubectl(t, "label", "node", "right", "svccontroller.k3s.cattle.io/lbpool=edge")
	c.balance(t, "edge", 84, "")
	c.kubectl(t, "label", "service", "edge", "skerry.io/lbpool=edge")
	both := []string{c.addressOf("left"), c.addressOf("right")}
	slices.Sort(both)
	c.balanced(t, "edge", strings.Join(both, " "))
	for _, address := range both {
		c.eventually(t, address+" answers", func() error {
			_, err := who(client, address, 84, time.Second)
			return err
		})
	}
	c.kubectl(t, "label", "node", "right", "svccontroller.k3s.cattle.io/lbpool-")
	c.balanced(t, "edge", c.addressOf("left"))
	c.kubectl(t, "delete", "service", "edge")
	c.kubectl(t, "label", "node", "left", "skerry.io/lbpool-")
}

// whoHas are the hosts that have the pool's address.
func (c *cluster) whoHas(t *testing.T) []string {
	t.Helper()
	var on []string
	for _, name := range c.names() {
		host := c.hostOf(name)
		if !host.Up() {
			continue
		}
		out, err := host.Run(t.Context(), "ip", "-o", "address", "show")
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(out, poolAddress+"/32") {
			on = append(on, name)
		}
	}
	return on
}

func (c *cluster) hostOf(name string) *testhost.Host {
	for _, a := range c.agents {
		if a.name == name {
			return a.host
		}
	}
	return c.host
}

// byPool: with an endpoint on the server and agents that announce, the announcer loses its power while no server is there.
func byPool(t *testing.T, c *cluster, client *testhost.Host) {
	c.kubectl(t, "delete", "service", "local")
	c.kubectl(t, "delete", "pod", "mirror-right", "--now")
	c.kubectl(t, "label", "node", "left", "right", "skerry.io/lbpool=edge")
	c.kubectl(t, "label", "service", "web", "skerry.io/lbpool=edge")
	c.again(t, "servicelb-pool: ["+poolAddress+"]\n")
	c.balanced(t, "web", poolAddress)
	c.eventually(t, "one agent has the address, and it answers", func() error {
		if on := c.whoHas(t); len(on) != 1 || on[0] == "server" {
			return fmt.Errorf("%q have it", on)
		}
		_, err := who(client, poolAddress, 80, time.Second)
		return err
	})
	c.balance(t, "third", 80, "")
	c.eventually(t, "another Service is told that no address is left", func() error {
		if told := c.events(t, "third"); !strings.Contains(told, "PoolExhausted") {
			return fmt.Errorf("its events are %q", told)
		}
		return nil
	})
	c.kubectl(t, "delete", "service", "third")
	first := c.whoHas(t)[0]
	for _, a := range c.agents {
		state := "standing by"
		if a.name == first {
			state = "announced"
		}
		a.statusUntil(t, a.name+" says that the address is "+state, func(s told) bool { return s.row("announcer", poolAddress).State == state })
	}

	c.proc.Kill() // the pod on its host lives on
	gap := outage(t, client, c.hostOf(first).PowerCut)
	t.Logf("%s lost its power; nobody answered for %v", first, gap.Round(10*time.Millisecond))
	if gap > 5*time.Second {
		t.Errorf("nobody answered for %v", gap)
	}
	second := c.whoHas(t)
	if len(second) != 1 || second[0] == first {
		t.Errorf("after %s %q have the address", first, second)
	}
	c.serve()
	c.apiReady(t)
	for _, a := range c.agents {
		if a.name == first {
			a.host.Boot()
			a.join(t, c)
		}
	}
	c.allReady(t)
	if now := c.whoHas(t); !slices.Equal(now, second) {
		t.Errorf("once %s is back %q have the address", first, now)
	}
	for _, a := range c.agents { // it was only just started, and has to know that there is an address before it can take it over
		if a.name == first {
			a.statusUntil(t, first+" stands by for the address", func(s told) bool { return s.row("announcer", poolAddress).State == "standing by" })
		}
	}
	t.Run("let go by a node that is excluded", func(t *testing.T) {
		gap := outage(t, client, func() {
			c.kubectl(t, "label", "node", second[0], "node.kubernetes.io/exclude-from-external-load-balancers=")
		})
		t.Logf("%s was excluded; nobody answered for %v", second[0], gap.Round(10*time.Millisecond))
		if now := c.whoHas(t); gap > 5*time.Second || !slices.Equal(now, []string{first}) {
			t.Errorf("%q have the address, after %v", now, gap)
		}
	})
}

// outage asks the pool's address all the time, lets something happen, and says for how long at most nobody answered. It asks
// until it was answered for seconds.
func outage(t *testing.T, client *testhost.Host, happens func()) time.Duration {
	t.Helper()
	const calm, most = 8 * time.Second, time.Minute
	done := make(chan struct{})
	var longest time.Duration
	go func() {
		defer close(done)
		began := time.Now()
		last, settled := began, began
		for time.Since(settled) < calm && time.Since(began) < most {
			if _, err := who(client, poolAddress, 80, 250*time.Millisecond); err == nil {
				if gap := time.Since(last); gap > 500*time.Millisecond {
					t.Logf("nobody answered from %s for %v", last.UTC().Format("15:04:05.000"), gap.Round(10*time.Millisecond))
					settled = time.Now()
					longest = max(longest, gap)
				}
				last = time.Now()
			} else {
				settled = time.Now()
				longest = max(longest, time.Since(last))
			}
			time.Sleep(50 * time.Millisecond)
		}
	}()
	time.Sleep(time.Second)
	t.Logf("it begins to happen at %s", time.Now().UTC().Format("15:04:05.000"))
	happens()
	<-done
	return longest
}
