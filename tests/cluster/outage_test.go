package cluster_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// kills is how often the server is killed in a row.
const kills = 20

// serverDies: while the server is away, pods and Services of the agents go on; when it is back, its own node starts pods at
// once, and all pods from before are the same. In the end every node starts pods and the server reaches all of them. That
// is not wanted after each kill: who watches the API, and whose watch breaks again and again, waits up to half a minute
// before the next question, as all of Kubernetes does.
func serverDies(t *testing.T, c *cluster) {
	var pods []string
	before := map[string]string{}
	for _, name := range c.names() {
		pods = append(pods, "web-"+name)
		before["web-"+name] = identity(c.pod(t, "web-"+name))
	}
	service := c.clusterIP(t, "web")
	begin := time.Now()
	for round := range kills {
		c.proc.Kill()
		if err := c.asks(6, service, "left", "right"); err != nil { // each of the three pods, most likely
			t.Errorf("kill %d: the Service without the server: %v", round+1, err)
		}
		c.serve()
		c.apiReady(t)
		c.startsPods(t, fmt.Sprintf("late-%d", round), "server")
		if err := c.asks(6, service, "left", "right"); err != nil {
			t.Errorf("kill %d: the Service with the server back: %v", round+1, err)
		}
		for _, pod := range pods {
			if now := identity(c.pod(t, pod)); now != before[pod] {
				t.Errorf("kill %d: pod %s was\n%s\nis\n%s", round+1, pod, before[pod], now)
			}
		}
	}
	t.Logf("%d kills took %v", kills, time.Since(begin).Round(time.Second))
	c.startsPods(t, "late", c.names()...)
	c.allReady(t)
	c.eventually(t, "the server reaches all pods", func() error { return c.execs(t, pods...) })
	t.Logf("all is well %v after the first kill", time.Since(begin).Round(time.Second))
}

// startsPods wants each of the nodes to start a pod.
func (c *cluster) startsPods(t *testing.T, label string, nodes ...string) {
	t.Helper()
	for _, name := range nodes {
		c.create(t, webOn(name, label+"-"+name, label))
	}
	c.podsReady(t, label, len(nodes))
	c.alive(t)
	c.kubectl(t, "delete", "pod", "--wait=false", "-l", "app="+label)
}

// allDie: after a power cut of all, agents that are up before their server wait for it, and everything runs again.
func allDie(t *testing.T, c *cluster) {
	before := map[string]string{}
	for _, name := range c.names() {
		before[name] = identity(c.pod(t, "web-"+name))
	}
	for _, h := range c.lab.Hosts() {
		h.PowerCut()
	}
	for _, a := range c.agents {
		a.host.Boot()
		a.join(t, c)
	}
	for _, a := range c.agents {
		a.eventually(t, "it is up as far as it can be without the server", func() error {
			conn, err := a.host.Dial(t.Context(), "tcp", "127.0.0.1:6444")
			if err == nil {
				_ = conn.Close()
			}
			return err
		})
	}
	c.host.Boot()
	begin := time.Now()
	c.serve()
	c.apiReady(t)
	t.Logf("the API is back after %v", time.Since(begin).Round(100*time.Millisecond))
	for _, name := range c.names() {
		c.podUntil(t, "web-"+name, "runs again", func(p *corev1.Pod) error {
			if !isReady(p) || identity(p) == before[name] {
				return fmt.Errorf("it is %s", identity(p))
			}
			return nil
		})
		t.Logf("the pod on %s runs again after %v", name, time.Since(begin).Round(100*time.Millisecond))
	}
	c.allReady(t)
	c.eventually(t, "the server reaches all pods", func() error { return c.execs(t, "web-server", "web-left", "web-right", "web-far") })
}

// execs runs a command in each pod, all at once; nil when all could.
func (c *cluster) execs(t *testing.T, pods ...string) error {
	errs := make([]error, len(pods))
	var all sync.WaitGroup
	for i, pod := range pods {
		all.Go(func() { _, errs[i] = c.try(t, "kubectl", "exec", pod, "--", "true") })
	}
	all.Wait()
	return errors.Join(errs...)
}

// client is a pod on one node that asks a Service without end and notes each failure.
func (c *cluster) client(t *testing.T, node, name, ip string) {
	t.Helper()
	pod := webOn(node, name, "client")
	ask := "echo begun; while :; do printf 'GET /index.html HTTP/1.0\r\n\r\n' | nc -w 5 " + ip + " 80 | grep -q ^steady || echo failed at $(date); sleep 0.05; done"
	pod.Spec.Containers[0].Command = []string{"sh", "-c", "trap 'exit 0' TERM; " + ask}
	c.create(t, pod)
	c.podReady(t, name)
}

// agentDies: who talks to pods of other nodes does not notice the power cut of an agent. Its own pod leaves the Services
// and comes back with it.
func agentDies(t *testing.T, c *cluster, dead *agent) {
	clients := []string{"server", "left"}
	for _, name := range clients {
		c.create(t, webOn(name, "steady-"+name, "steady"))
	}
	c.service(t, "steady", "steady", 0)
	c.podsReady(t, "steady", len(clients))
	ip := c.clusterIP(t, "steady")
	c.eventually(t, "the Service has its pods", func() error {
		if got := c.endpoints(t, "steady"); len(got) != len(clients) {
			return fmt.Errorf("it has %q", got)
		}
		return c.asks(10, ip, clients...)
	})
	for _, name := range clients {
		c.client(t, name, "client-"+name, ip)
	}

	before := c.pod(t, "web-"+dead.name)
	dead.host.PowerCut()
	began := time.Now()
	c.nodeUntil(t, dead.name, "is not Ready", func(n *corev1.Node) error {
		if notReady(n) == "" {
			return errors.New("it is")
		}
		return nil
	})
	t.Logf("not Ready %v after the power cut", time.Since(began).Round(time.Second))
	c.eventually(t, "its pod has left the Service", func() error {
		if got := c.endpoints(t, "web"); len(got) != len(c.near())-1 {
			return fmt.Errorf("it has %q", got)
		}
		return c.asks(20, c.clusterIP(t, "web"), clients...)
	})
	dead.host.Boot()
	dead.join(t, c)
	c.allReady(t)
	c.podUntil(t, "web-"+dead.name, "runs again", func(p *corev1.Pod) error {
		if !isReady(p) || identity(p) == identity(before) || p.UID != before.UID {
			return fmt.Errorf("it is %s", identity(p))
		}
		return nil
	})
	for _, name := range clients {
		if out := c.kubectl(t, "logs", "client-"+name); !strings.HasPrefix(out, "begun") || strings.Contains(out, "failed") {
			t.Errorf("the client on %s saw\n%s", name, out)
		}
	}
	c.kubectl(t, "delete", "pod", "--wait=false", "-l", "app in (client)")
	c.reaches(t, "web-left", request{"the pod again", c.pod(t, "web-"+dead.name).Status.PodIP, "8080", []string{"web-" + dead.name}})
}

// asks asks a Service so many times from each of the hosts; nil when every answer came.
func (c *cluster) asks(times int, ip string, hosts ...string) error {
	for _, h := range c.lab.Hosts() {
		for range times {
			if !slices.Contains(hosts, h.Name()) {
				break
			}
			if _, err := get(h.HTTP(), "http://"+ip+"/index.html"); err != nil {
				return fmt.Errorf("on %s: %w", h.Name(), err)
			}
		}
	}
	return nil
}

// agentCutOff: a node whose link to the server is cut is given up, what can move moves, and what was left there ends when
// it comes back. Until then the node goes on alone.
func agentCutOff(t *testing.T, c *cluster, cut *agent) {
	c.apply(t, "mover.yaml")
	old := c.podsReady(t, "mover", 1)[0]
	if old.Spec.NodeName != cut.name {
		t.Fatalf("the pod to be moved is on %s", old.Spec.NodeName)
	}
	service := "http://" + c.clusterIP(t, "mover") + "/index.html"
	c.eventually(t, "the Service answers on the node", func() error {
		_, err := cut.fetch(service)
		return err
	})
	c.lab.Cut(c.host, cut.host)
	t.Run("it goes on alone", func(t *testing.T) {
		for range 5 {
			if out, err := cut.fetch(service); err != nil || out != "moved" {
				t.Errorf("its Service says %q, %v", out, err)
			}
		}
	})
	t.Run("who asks for its pods gets an error, not nothing", func(t *testing.T) {
		begin := time.Now()
		if _, err := c.try(t, "kubectl", "exec", "web-"+cut.name, "--", "true"); err == nil || time.Since(begin) > 40*time.Second {
			t.Errorf("after %v: %v", time.Since(begin), err)
		}
	})
	c.eventually(t, "the pod has moved", func() error {
		pods, err := c.api.CoreV1().Pods(inDefault).List(t.Context(), metav1.ListOptions{LabelSelector: "app=mover"})
		if err != nil {
			return err
		}
		for i := range pods.Items {
			if p := &pods.Items[i]; p.Spec.NodeName != cut.name && isReady(p) {
				return nil
			}
		}
		return fmt.Errorf("%d pods, none elsewhere", len(pods.Items))
	})
	c.lab.Mend(c.host, cut.host)
	c.allReady(t)
	c.eventually(t, "the pod that was left is gone", func() error {
		_, err := c.api.CoreV1().Pods(inDefault).Get(t.Context(), old.Name, metav1.GetOptions{})
		if !apierrors.IsNotFound(err) {
			return errors.Join(errors.New("it is in the API"), err)
		}
		if out, err := cut.try(t, "crictl", "ps", "-q", "--label", "io.kubernetes.pod.name="+old.Name); err != nil || out != "" {
			return fmt.Errorf("its container runs: %q, %w", out, err)
		}
		return nil
	})
	c.eventually(t, "the server reaches the pods there", func() error { return c.execs(t, "web-"+cut.name) })
	c.kubectl(t, "delete", "deployment,service", "mover")
}
