package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const agentDir = "/var/lib/skerry/agent"

// attempt is a way to join that must not work, and what the agent says about it (regular expressions).
type attempt struct {
	what  string
	args  func(t *testing.T, c *cluster) []string // of skerry agent
	stays bool                                    // it goes on trying instead of ending: the trouble may pass
	says  []string
}

// TestWhoMayNotJoin: who should not become a node does not, is told why and what to do, and disturbs nobody.
func TestWhoMayNotJoin(t *testing.T) {
	c := newCluster(t, "", []string{busybox})
	friend := c.newAgent(t, "friend", nil)
	c.start(t)
	c.create(t, webOn("friend", "web", "web"))
	c.podReady(t, "web")
	stranger := &agent{node: &node{lab: c.lab, host: c.lab.Host("stranger", programs(t)...)}, name: "stranger"}
	_ = stranger.skerry(t, "version") // unpacks its programs
	stranger.place(t, archive(t, busybox))
	between := newMan(t, c, stranger.host)

	for _, a := range append(attempts(), between.attempts()...) {
		t.Run(a.what, func(t *testing.T) {
			stranger.tries(t, c, a)
			c.unharmed(t)
		})
	}
	if heard := between.heard(); len(heard) > 0 {
		t.Errorf("the man in the middle has heard %q", heard)
	}
	t.Run("with a node's credentials", func(t *testing.T) { nodeOversteps(t, c, friend) })
	t.Run("harm on the ports", func(t *testing.T) { harmOnPorts(t, c, friend) })
	t.Run("a token for a while", func(t *testing.T) {
		stranger.proc = stranger.host.Start("skerry", "agent", "--server", c.url(), "--token", firstLine(c.skerry(t, "token", "create", "--ttl=10m")))
		c.agents = append(c.agents, stranger)
		c.allReady(t)
	})
	t.Run("a machine that takes another's place", func(t *testing.T) { replaceNode(t, c, friend, stranger) })
}

func attempts() []attempt {
	with := func(change func(server, token string) (string, string)) func(*testing.T, *cluster) []string {
		return func(t *testing.T, c *cluster) []string {
			server, token := change(c.url(), c.token(t))
			return []string{"--server", server, "--token", token}
		}
	}
	pinned := func(token string) string { return token[:strings.Index(token, "::")+2] } // the mark and the CA's hash
	return []attempt{
		{what: "a wrong token", args: with(func(s, token string) (string, string) { return s, pinned(token) + "wrong" }),
			says: []string{`token`, `(?i)cure|token file`}},
		{what: "a wrong secret alone", args: with(func(s, _ string) (string, string) { return s, "wrong" }), says: []string{`token`, `(?i)cure|token file`}},
		{what: "a token of another cluster", says: []string{`not the one this token was made by`, `token file`},
			args: with(func(s, token string) (string, string) {
				return s, "SK1" + strings.Repeat("0f", 32) + token[strings.Index(token, "::"):]
			})},
		{what: "half a token", args: with(func(s, token string) (string, string) { return s, token[:30] }), says: []string{`token is damaged`, `copy the whole line`}},
		{what: "no token", says: []string{`token`}, args: func(_ *testing.T, c *cluster) []string { return []string{"--server", c.url()} }},
		{what: "a token that is over", args: expired, says: []string{`token`, `expired|no such bootstrap token`}},
		{what: "http instead of https", says: []string{`https`},
			args: with(func(s, token string) (string, string) { return strings.Replace(s, "https", "http", 1), token })},
		{what: "a port where nothing listens", stays: true, says: []string{`nothing listens there`, `correct host and port`},
			args: with(func(s, token string) (string, string) { return strings.Replace(s, "6443", "6450", 1), token })},
		{what: "a server that does not answer", stays: true, says: []string{`10\.200\.0\.250`, `no way to the server|nothing answers in time`},
			args: with(func(_, token string) (string, string) { return "https://10.200.0.250:6443", token })},
		{what: "the name of another node", says: []string{`"friend" belongs to`, `skerry node replace friend`},
			args: func(t *testing.T, c *cluster) []string {
				return []string{"--server", c.url(), "--token", c.token(t), "--node-name", "friend"}
			}},
		{what: "the name of the server's node", says: []string{`"server"`, `node-name`},
			args: func(t *testing.T, c *cluster) []string {
				return []string{"--server", c.url(), "--token", c.token(t), "--node-name", "server"}
			}},
	}
}

// expired makes a token and waits until it is over.
func expired(t *testing.T, c *cluster) []string {
	token := firstLine(c.skerry(t, "token", "create", "--ttl=2s"))
	id, _, _ := strings.Cut(token[strings.LastIndex(token, ":")+1:], ".")
	c.eventually(t, "the token is over", func() error {
		made, err := c.api.CoreV1().Secrets("kube-system").Get(t.Context(), "bootstrap-token-"+id, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return err
		}
		end, err := time.Parse(time.RFC3339, string(made.Data["expiration"]))
		if left := time.Until(end); err != nil || left > 0 {
			return fmt.Errorf("in %v, %w", left, err)
		}
		return nil
	})
	return []string{"--server", c.url(), "--token", token}
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return line
}

// tries lets the stranger try, and wants it to say all it should and to keep nothing of a cluster.
func (a *agent) tries(t *testing.T, c *cluster, try attempt) {
	t.Helper()
	proc := a.host.Start(append([]string{"skerry", "agent"}, try.args(t, c)...)...)
	defer proc.Kill()
	c.eventually(t, "the agent says what is wrong", func() error {
		out := proc.Output()
		for _, want := range try.says {
			if !regexp.MustCompile(want).MatchString(out) {
				if !proc.Running() {
					t.Fatalf("it has ended and not said %q; it wrote\n%s", want, tail(out, 20))
				}
				return fmt.Errorf("not said: %q in\n%s", want, tail(out, 20))
			}
		}
		return nil
	})
	if try.stays {
		if !proc.Running() {
			t.Errorf("it gave up; it wrote\n%s", tail(proc.Output(), 20))
		}
	} else if err := proc.Wait(20 * time.Second); err == nil || proc.Running() {
		t.Errorf("it did not end with an error: %v; it wrote\n%s", err, tail(proc.Output(), 20))
	}
	if strings.Contains(proc.Output(), "goroutine ") {
		t.Errorf("a stack trace is no message:\n%s", tail(proc.Output(), 40))
	}
	if left := append(a.files(agentDir+"/*.crt"), a.files(agentDir+"/joined.json")...); len(left) > 0 {
		t.Errorf("it keeps %q", left)
	}
}

// unharmed: the cluster works, and nobody else is in it.
func (c *cluster) unharmed(t *testing.T) {
	t.Helper()
	if err := errors.Join(c.readyAre(t, c.names()...), c.execs(t, "web")); err != nil {
		t.Error(err)
	}
}

// replaceNode: a new machine takes the name of one that is gone, as the refusal says.
func replaceNode(t *testing.T, c *cluster, old, next *agent) {
	_ = next.stop(t)
	_ = next.skerry(t, "reset", "--yes")
	c.kubectl(t, "delete", "node", next.name)
	_ = old.stop(t)
	c.agents = []*agent{old}
	_ = c.skerry(t, "node", "replace", old.name, "--yes")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := os.MkdirAll(next.host.Path(imagesDir), 0o755); err != nil {
		t.Fatal(err)
	}
	next.place(t, archive(t, busybox))
	next.proc = next.host.Start("skerry", "agent", "--server", c.url(), "--token", c.token(t), "--node-name", old.name)
	c.eventually(t, "the new machine is the node", func() error {
		n, err := c.api.CoreV1().Nodes().Get(ctx, old.name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if why := notReady(n); why != "" {
			return errors.New(why)
		}
		return hasAddress(n, next.host.Address())
	})
	c.eventually(t, "its pods run there", func() error { return c.execs(t, "web") })
	t.Run("the old one is refused", func(t *testing.T) {
		old.proc = old.host.Start("skerry", "agent", "--server", c.url(), "--token", c.token(t))
		c.eventually(t, "it says so", func() error {
			if !strings.Contains(old.proc.Output(), "skerry node replace "+old.name) {
				return errors.New(tail(old.proc.Output(), 10))
			}
			return nil
		})
		old.proc.Kill()
	})
	if found, _ := filepath.Glob(next.host.Path(agentDir + "/node.key")); len(found) != 1 {
		t.Error("the new machine has no key of its own")
	}
}
