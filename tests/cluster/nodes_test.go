package cluster_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/skerry-io/skerry/tests/testhost"
)

// TestSeveralNodes: a server and three agents are one cluster. One agent is behind a router and lets nobody in, so all
// that the server wants of it goes through its tunnel; pods of the others do not reach its pods (see TestWireguard). The
// parts share the cluster, in this order: what only looks, what takes the server away, what takes an agent away.
func TestSeveralNodes(t *testing.T) {
	c := newCluster(t, quickly(), []string{busybox})
	c.newAgent(t, "left", nil)
	c.newAgent(t, "right", nil)
	far := c.newAgent(t, "far", nil, testhost.BehindNAT())
	far.host.CloseInbound()
	c.start(t)
	for _, name := range c.names() {
		app := "web"
		if name == far.name {
			app = "far"
		}
		c.create(t, webOn(name, "web-"+name, app))
	}
	for _, name := range c.names() {
		c.podReady(t, "web-"+name)
	}
	c.service(t, "web", "web", 30080)
	c.service(t, "far", "far", 0)

	t.Run("looking", func(t *testing.T) {
		t.Run("pods", func(t *testing.T) { t.Parallel(); podsMeet(t, c) })
		t.Run("nodes and Services", func(t *testing.T) { t.Parallel(); servicesEverywhere(t, c) })
		for _, name := range c.names() {
			t.Run("hands on "+name, func(t *testing.T) { t.Parallel(); handsOn(t, c, name) })
		}
	})
	t.Run("a large file through the tunnel", func(t *testing.T) { largeCopy(t, c, "web-far") })
	t.Run("the server dies and comes back", func(t *testing.T) { serverDies(t, c) })
	t.Run("the power fails everywhere", func(t *testing.T) { allDie(t, c) })
	t.Run("an agent loses its power", func(t *testing.T) { agentDies(t, c, c.agents[1]) })
	t.Run("an agent is cut off", func(t *testing.T) { agentCutOff(t, c, c.agents[0]) })
	t.Run("an agent gets another address", func(t *testing.T) { anotherAddress(t, c, c.agents[0]) })
	t.Run("an agent gets another hostname", func(t *testing.T) { anotherName(t, c, c.agents[1]) })
}

// near are the nodes whose pods reach each other.
func (c *cluster) near() []string {
	var all []string
	for _, name := range c.names() {
		if name != "far" {
			all = append(all, name)
		}
	}
	return all
}

// podsMeet: every pod reaches every pod and the Service, and the API server as pods do.
func podsMeet(t *testing.T, c *cluster) {
	for _, from := range c.near() {
		var requests []request
		for _, to := range c.near() {
			requests = append(requests, request{"pod on " + to, c.pod(t, "web-"+to).Status.PodIP, "8080", []string{"web-" + to}})
		}
		answers := []string{}
		for _, to := range c.near() {
			answers = append(answers, "web-"+to)
		}
		requests = append(requests, request{"Service", c.clusterIP(t, "web"), "80", answers})
		for _, to := range c.near() {
			requests = append(requests, request{"NodePort of " + to, c.addressOf(to), "30080", answers})
		}
		t.Run("from "+from, func(t *testing.T) {
			t.Parallel()
			c.reaches(t, "web-"+from, requests...)
		})
	}
	t.Run("from far", func(t *testing.T) {
		t.Parallel()
		c.reaches(t, "web-far", request{"its own Service", c.clusterIP(t, "far"), "80", []string{"web-far"}})
		out, err := c.try(t, "kubectl", "exec", "web-far", "--", "sh", "-c", "nc -w 5 10.43.0.1 443 </dev/null && echo open")
		if err != nil || strings.TrimSpace(out) != "open" {
			t.Errorf("the API server, by its Service: %q, %v", out, err)
		}
	})
}

// addressOf is the address of a node's host.
func (c *cluster) addressOf(name string) string {
	for _, h := range c.lab.Hosts() {
		if h.Name() == name {
			return h.Address()
		}
	}
	return ""
}

// request is something that a pod asks for, and the answers that are right.
type request struct {
	what, host, port string
	answers          []string
}

// reaches waits until every request of a pod is answered.
func (c *cluster) reaches(t *testing.T, pod string, requests ...request) {
	t.Helper()
	for _, r := range requests {
		c.eventually(t, fmt.Sprintf("pod %s reaches %s at %s:%s", pod, r.what, r.host, r.port), func() error {
			out, err := c.ask(t, pod, r.host, r.port)
			return errors.Join(err, oneOf(strings.TrimSpace(out), r.answers))
		})
	}
}

func oneOf(answer string, right []string) error {
	for _, r := range right {
		if answer == r {
			return nil
		}
	}
	return fmt.Errorf("%q is the answer, not one of %q", answer, right)
}

// servicesEverywhere: each host reaches each pod and the Service, and each NodePort answers other machines.
func servicesEverywhere(t *testing.T, c *cluster) {
	var answers []string
	for _, name := range c.near() {
		answers = append(answers, "web-"+name)
	}
	answered := func(what string, get func() (string, error), right []string) {
		t.Helper()
		c.eventually(t, what+" answers", func() error {
			out, err := get()
			return errors.Join(err, oneOf(out, right))
		})
	}
	for _, h := range c.lab.Hosts() {
		if h.Name() == "far" {
			answered("its own Service on far", func() (string, error) { return get(h.HTTP(), "http://"+c.clusterIP(t, "far")+"/index.html") }, []string{"web-far"})
			continue
		}
		answered("the Service on "+h.Name(), func() (string, error) { return get(h.HTTP(), "http://"+c.clusterIP(t, "web")+"/index.html") }, answers)
		answered("the NodePort of "+h.Name(), func() (string, error) { return get(c.lab.HTTP(), "http://"+h.Address()+":30080/index.html") }, answers)
		for _, to := range c.near() {
			pod := c.pod(t, "web-"+to).Status.PodIP
			answered("the pod of "+to+" on "+h.Name(), func() (string, error) { return get(h.HTTP(), "http://"+pod+":8080/index.html") }, []string{"web-" + to})
		}
	}
}
