package cluster_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/skerry-io/skerry/tests/testhost"
	"github.com/skerry-io/skerry/tests/wallclock"
)

const (
	clockSocket = "/run/wallclock"
	clockGuess  = "/run/skerry/clock-guessed"
	// settledWithin is how soon after the right time came all is well. What pods have as tokens takes longer.
	settledWithin = time.Minute
)

// TestClockOf1970: boards without a battery boot in 1970 with nobody to tell the time: first an agent alone, then its server. Their time
// is the last known one, nothing is renewed, and pods run. The right time comes when all certificates are over by it; a clock is
// set back by a day. Nothing has to be started again. Programs of the hosts other than Skerry have the machine's clock throughout.
func TestClockOf1970(t *testing.T) {
	c := newCluster(t, "", []string{busybox}, withClock(t))
	far := c.newAgent(t, "far", nil, withClock(t))
	c.start(t)
	c.create(t, webOn("far", "web-far", "web"))
	c.service(t, "web", "web", 30092)
	c.podReady(t, "web-far")
	far.kept(t)
	token := c.token(t)
	before := far.certificates(t) + c.certificates(t)
	c.host.PowerCut()

	t.Run("an agent alone", func(t *testing.T) {
		far.host.PowerCycle()
		began := time.Now()
		far.bootedIn1970("agent", "--server", c.url(), "--token", token)
		far.answersOn(t, "30092")
		t.Logf("its pod answers %v after the boot", time.Since(began).Round(100*time.Millisecond))
		far.guesses(t)
	})
	t.Run("its server", func(t *testing.T) {
		c.host.Boot()
		c.bootedIn1970("server")
		c.apiReady(t)
		c.allReady(t)
		c.eventually(t, "the server reaches the agent's pod", func() error { return c.execs(t, "web-far") })
		c.guesses(t)
	})
	if now := far.certificates(t) + c.certificates(t); now != before {
		t.Error("certificates were renewed")
	}
	pod := far.mainOf(t, "web-far")
	t.Run("the time becomes known, and all certificates are over by it", func(t *testing.T) { c.timeComes(t, far) })
	t.Run("a clock is set back by a day", func(t *testing.T) { c.dayAgain(t, far) })
	if now := far.mainOf(t, "web-far"); now != pod {
		t.Error("the pod was started again")
	}
	for _, n := range []*node{c.node, far.node} {
		if out := n.proc.Output(); strings.Count(out, "is set forward to it") != 1 {
			t.Errorf("the clock was not set forward once:\n%s", tail(out, 20))
		}
	}
}

// withClock shows a host what gives programs another clock.
func withClock(t *testing.T) testhost.Option {
	t.Helper()
	if why := wallclock.Cannot(); why != "" {
		t.Skip("no other clock here: " + why)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return testhost.Program(wallclock.Name, self)
}

// bootedIn1970 starts skerry on a host whose clock has just begun.
func (n *node) bootedIn1970(args ...string) {
	boot := time.Unix(20, 0).UTC()
	n.proc = n.host.Start(append([]string{wallclock.Name, "run", clockSocket, boot.Format(time.RFC3339), "skerry"}, args...)...)
}

func (n *node) clock() wallclock.Clock { return wallclock.Clock(n.host.Path(clockSocket)) }

// guesses wants the node's time to be the last known one, which the machine's own clock had a short while ago.
func (n *node) guesses(t *testing.T) {
	t.Helper()
	now, err := n.clock().Now()
	if late := time.Since(now); err != nil || late < -time.Second || late > 10*time.Minute {
		t.Errorf("it is %s for it; %v", now, err)
	}
	if _, err := n.host.Read(clockGuess); err != nil {
		t.Errorf("it takes that for the right time: %v", err)
	}
}

// certificates are all that the node has on disk, each once.
func (n *node) certificates(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, pattern := range []string{serverDir + "/tls/*.crt", serverDir + "/tls/*/*.crt", "/var/lib/skerry/agent/joined.json"} {
		for _, path := range n.files(pattern) {
			text, err := n.host.Read(path)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintln(&all, path, string(text))
		}
	}
	return all.String()
}

// timeComes has both learn what time it is: more than a year later than they think.
func (c *cluster) timeComes(t *testing.T, far *agent) {
	began := time.Now()
	for _, n := range []*node{c.node, far.node} {
		if err := n.clock().Set(began.AddDate(1, 1, 0)); err != nil {
			t.Fatal(err)
		}
	}
	c.allWell(t, far, func() error { return far.goodAt(t, began.AddDate(1, 1, 0)) })
	t.Logf("all is well after %v", time.Since(began).Round(100*time.Millisecond))
	if took := time.Since(began); took > settledWithin {
		t.Errorf("that is more than %v", settledWithin)
	}
	for _, n := range []*node{c.node, far.node} {
		if _, err := n.host.Read(clockGuess); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s still guesses: %v", n.host.Name(), err)
		}
	}
}

// dayAgain sets both clocks back, as somebody does who has put in the wrong day, and does right.
func (c *cluster) dayAgain(t *testing.T, far *agent) {
	before := far.certificates(t) + c.certificates(t)
	began := time.Now()
	for _, n := range []*node{c.node, far.node} {
		if err := n.clock().Set(began.AddDate(1, 1, -1)); err != nil {
			t.Fatal(err)
		}
	}
	c.allWell(t, far, func() error { return nil })
	t.Logf("all is well after %v", time.Since(began).Round(100*time.Millisecond))
	if now := far.certificates(t) + c.certificates(t); now != before {
		t.Error("certificates were renewed")
	}
}

// allWell waits until the API answers a new client, the nodes are Ready, a pod can be made by a controller and reached.
func (c *cluster) allWell(t *testing.T, far *agent, also func() error) {
	t.Helper()
	name := fmt.Sprintf("fresh-%d", time.Now().UnixNano())
	c.apiReady(t)
	c.eventually(t, "all is well", also)
	c.allReady(t)
	c.eventually(t, "a Deployment is taken", func() error {
		_, err := c.try(t, "kubectl", "create", "deployment", name, "--image=localhost/skerry/demo:1")
		return err
	})
	c.eventually(t, "a controller makes its pod, and that runs", func() error {
		out, err := c.try(t, "kubectl", "get", "deployment", name, "-o", "jsonpath={.status.readyReplicas}")
		if err == nil && out != "1" {
			err = fmt.Errorf("%q are ready", out)
		}
		return err
	})
	c.eventually(t, "the server reaches the agent's pod", func() error { return c.execs(t, "web-far") })
	far.answersOn(t, "30092")
	c.nodeUntil(t, "far", "is heard of", func(n *corev1.Node) error {
		if why := notReady(n); why != "" {
			return errors.New(why)
		}
		return nil
	})
}

// goodAt is nil when the kubelet's certificate counts at a time.
func (a *agent) goodAt(t *testing.T, at time.Time) error {
	t.Helper()
	cert, err := a.certificate()
	if err == nil && cert.NotAfter.Before(at) {
		err = fmt.Errorf("it ends at %s", cert.NotAfter)
	}
	return err
}
