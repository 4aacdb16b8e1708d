package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	coordination "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// servers is a cluster of several servers, and of agents besides. Of cluster, node is the first server.
type servers struct {
	*cluster
	all []*node
}

// newServers makes the hosts of so many servers. It starts nothing.
func newServers(t *testing.T, count int, images []string) *servers {
	t.Helper()
	s := &servers{cluster: newCluster(t, quickly(), images)}
	s.all = []*node{s.node}
	for i := range count - 1 {
		s.all = append(s.all, s.newServer(t, fmt.Sprintf("server%d", i+2)))
	}
	return s
}

// newServer makes the host of a further server.
func (s *servers) newServer(t *testing.T, name string) *node {
	t.Helper()
	n := &node{lab: s.lab, host: s.lab.Host(name, programs(t)...)}
	n.host.Write(configFile, []byte(quickly()))
	for _, image := range s.images {
		n.place(t, archive(t, image))
	}
	return n
}

// further starts a server that joins, with the first one's token.
func (s *servers) further(t *testing.T, n *node) {
	t.Helper()
	n.serve("--server", s.url(), "--token", s.token(t))
}

// up waits until each of these has its API server ready.
func (s *servers) up(t *testing.T, which ...*node) {
	t.Helper()
	for _, n := range which {
		n.apiReady(t)
	}
}

// leader is the server that holds the lease.
func (s *servers) leader(t *testing.T, ask *node) *node {
	t.Helper()
	var leader *node
	ask.eventually(t, "a server leads", func() error {
		lease, err := ask.api.CoordinationV1().Leases("kube-system").Get(t.Context(), "skerry-server", metav1.GetOptions{})
		if err != nil {
			return err
		}
		leader = s.holder(lease)
		if leader == nil {
			return fmt.Errorf("the lease is %v's", lease.Spec.HolderIdentity)
		}
		return nil
	})
	return leader
}

func (s *servers) holder(lease *coordination.Lease) *node {
	if lease.Spec.HolderIdentity == nil {
		return nil
	}
	name, _, _ := strings.Cut(*lease.Spec.HolderIdentity, " ")
	for _, n := range s.all {
		if n.host.Name() == name {
			return n
		}
	}
	return nil
}

// kill ends a server without a word, and leaves its pods.
func kill(t *testing.T, n *node) {
	t.Helper()
	if err := n.proc.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = n.proc.Wait(time.Minute) // it was killed
	n.proc = nil
}

// TestThreeServers: a single server becomes the first of three and keeps what it has; two more join it. Then the one that leads is
// killed, comes back, and one is replaced by another machine.
func TestThreeServers(t *testing.T) {
	s := newServers(t, 3, []string{busybox})
	a := s.newAgent(t, "agent", nil)
	s.serve()
	s.apiReady(t)
	s.note(t, "from-sqlite")
	s.stop(t)

	s.host.Write(configFile, []byte(quickly()+"cluster-init: true\n"))
	s.serve()
	s.apiReady(t)
	s.further(t, s.all[1])
	s.further(t, s.all[2])
	s.up(t, s.all...)
	a.join(t, s.cluster)
	s.eventually(t, "all nodes are Ready", func() error { return s.readyAre(t, "server", "server2", "server3", "agent") })
	t.Run("what a single server had is there", func(t *testing.T) { tookAlong(t, s) })
	t.Run("one cluster", func(t *testing.T) { oneCluster(t, s) })
	t.Run("the server that leads is killed", func(t *testing.T) { leaderDies(t, s) })
	t.Run("one after the other is restarted", func(t *testing.T) { rollingRestart(t, s) })
	t.Run("one is damaged", func(t *testing.T) { oneIsDamaged(t, s) })
	t.Run("the token is changed", func(t *testing.T) { tokenChanges(t, s) })
	t.Run("one is replaced", func(t *testing.T) { oneIsReplaced(t, s) })
	t.Run("one is left", func(t *testing.T) { oneIsLeft(t, s) })
}

func tookAlong(t *testing.T, s *servers) {
	for _, n := range s.all {
		if _, err := n.api.CoreV1().ConfigMaps("default").Get(t.Context(), "from-sqlite", metav1.GetOptions{}); err != nil {
			t.Errorf("%s: %v", n.host.Name(), err)
		}
	}
	if former := s.files(serverDir + "/db/sqlite.former/*"); len(former) == 0 {
		t.Error("the former database is not kept")
	}
}

// oneCluster: what is written on one is read on all, hands reach every pod through every server, and the services that only one
// may run do.
func oneCluster(t *testing.T, s *servers) {
	for i, n := range s.all {
		name := fmt.Sprintf("from-%d", i)
		n.note(t, name)
		for _, on := range s.all {
			if _, err := on.api.CoreV1().ConfigMaps("default").Get(t.Context(), name, metav1.GetOptions{}); err != nil {
				t.Errorf("written on %s, read on %s: %v", n.host.Name(), on.host.Name(), err)
			}
		}
	}
	nodes := []string{"server", "server2", "server3", "agent"}
	for _, name := range nodes {
		s.create(t, webOn(name, "web-"+name, "web"))
	}
	for _, name := range nodes {
		s.podReady(t, "web-"+name)
	}
	for _, n := range s.all {
		for _, name := range nodes {
			n.eventually(t, "exec on "+name+" through "+n.host.Name(), func() error {
				out, err := n.try(t, "kubectl", "exec", "web-"+name, "--", "cat", "/tmp/index.html")
				if err == nil && strings.TrimSpace(out) != "web-"+name {
					err = fmt.Errorf("exec leads to %q", out)
				}
				return err
			})
		}
	}
	members := s.skerry(t, "status", "-o", "wide")
	for _, n := range s.all {
		if !strings.Contains(members, "member "+n.host.Name()) {
			t.Errorf("the status does not name %s: %s", n.host.Name(), members)
		}
	}
	refusedServers(t, s)
}

// refusedServers: neither a wrong token nor one for agents makes a server, and nothing is left of the attempt.
func refusedServers(t *testing.T, s *servers) {
	stranger := s.newServer(t, "stranger")
	for what, token := range map[string]string{"a wrong token": s.token(t) + "x", "a token for agents": strings.TrimSpace(s.skerry(t, "token", "create"))} {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		out, err := stranger.host.Run(ctx, "skerry", "server", "--server", s.url(), "--token", token)
		cancel()
		if err == nil || !strings.Contains(fmt.Sprint(out, err), "did not let this server in") {
			t.Errorf("with %s: %v, %s", what, err, out)
		}
		if left := stranger.files(serverDir + "/*"); len(left) > 0 {
			t.Errorf("with %s: %v are left", what, left)
		}
	}
	stranger.host.PowerCut()
}

func leaderDies(t *testing.T, s *servers) {
	s.applyText(t, spread("web3", 3))
	s.eventually(t, "the Deployment runs", func() error { return s.available("web3", 3) })
	running := s.containers(t)
	leader := s.leader(t, s.node)
	rest := slices.DeleteFunc(slices.Clone(s.all), func(n *node) bool { return n == leader })
	writers := []*scribe{write(t, rest[0], "w0"), write(t, rest[1], "w1")}
	time.Sleep(time.Second)
	began := time.Now()
	kill(t, leader)
	for _, w := range writers {
		w.node.eventually(t, "the API answers on "+w.node.host.Name(), func() error { return w.answeredSince(began.Add(time.Second)) })
	}
	t.Logf("the API answered on both others %s after the server was killed", time.Since(began).Round(10*time.Millisecond))
	next := s.leaderAfter(t, rest[0], leader)
	t.Logf("%s leads %s after %s was killed", next.host.Name(), time.Since(began).Round(100*time.Millisecond), leader.host.Name())
	if took := time.Since(began); took > 25*time.Second {
		t.Errorf("it took %s until another one leads", took)
	}
	on := &cluster{node: rest[0], agents: s.agents}
	on.applyText(t, spread("later", 2))
	on.eventually(t, "a Deployment is scheduled", func() error { return on.available("later", 2) })
	t.Logf("a Deployment ran %s after the kill", time.Since(began).Round(100*time.Millisecond))
	for _, w := range writers {
		w.all(t, rest[1])
		if w.longest > 10*time.Second {
			t.Errorf("the API did not answer on %s for %s", w.node.host.Name(), w.longest)
		}
	}
	leader.serve()
	leader.apiReady(t)
	writers[0].all(t, leader)
	s.eventually(t, "all nodes are Ready again", func() error { return s.readyAre(t, "server", "server2", "server3", "agent") })
	if now := s.containers(t); !maps.Equal(running, now) {
		t.Errorf("pods did not run on: before %v, now %v", running, now)
	}
}

// containers are the containers of the pods that were made on each node.
func (s *servers) containers(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, name := range []string{"server", "server2", "server3", "agent"} {
		for _, c := range s.pod(t, "web-"+name).Status.ContainerStatuses {
			found[name] += c.ContainerID
		}
	}
	return found
}

// leaderAfter waits until another server leads.
func (s *servers) leaderAfter(t *testing.T, ask, before *node) (leader *node) {
	t.Helper()
	ask.eventually(t, "another server leads", func() error {
		if leader = s.leader(t, ask); leader == before {
			return errors.New("it is still " + before.host.Name())
		}
		return nil
	})
	return leader
}

// spread is a Deployment of pods that may run on any node.
func spread(name string, replicas int) string {
	return fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s}
spec:
  replicas: %[2]d
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: main, image: %[3]s, command: [sleep, "1000000"]}]
`, name, replicas, busybox)
}

func (c *cluster) available(name string, replicas int32) error {
	d, err := c.api.AppsV1().Deployments("default").Get(context.Background(), name, metav1.GetOptions{})
	if err == nil && d.Status.AvailableReplicas < replicas {
		err = fmt.Errorf("%d of %d are available", d.Status.AvailableReplicas, replicas)
	}
	return err
}

// rollingRestart: each is stopped in order and started again, and through the others everything goes on.
func rollingRestart(t *testing.T, s *servers) {
	for i, n := range s.all {
		other := s.all[(i+1)%len(s.all)]
		w := write(t, other, fmt.Sprintf("r%d", i))
		led := s.leader(t, other) == n
		began := n.stop(t)
		if led {
			since := time.Now()
			s.leaderAfter(t, other, n)
			t.Logf("%s led, and stopped in %s; another one led %s later", n.host.Name(), began.Round(10*time.Millisecond), time.Since(since).Round(10*time.Millisecond))
		}
		n.serve()
		n.apiReady(t)
		w.all(t, n)
		if w.longest > 5*time.Second {
			t.Errorf("while %s was restarted, %s did not answer for %s", n.host.Name(), other.host.Name(), w.longest)
		}
	}
}

// tokenChanges: the new token is everywhere, and the old one nowhere.
func tokenChanges(t *testing.T, s *servers) {
	s.all[1].skerry(t, "token", "rotate")
	want, err := s.all[1].host.Read(tokenFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range s.all {
		n.eventually(t, "the new token is on "+n.host.Name(), func() error {
			have, err := n.host.Read(tokenFile)
			if err == nil && string(have) != string(want) {
				err = errors.New("it is another one")
			}
			return err
		})
	}
}

// oneIsReplaced: a machine is gone for good, and another one takes its place.
func oneIsReplaced(t *testing.T, s *servers) {
	gone := s.all[2]
	gone.host.PowerCut()
	twin := s.newServer(t, "twin")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := twin.host.Run(ctx, "skerry", "server", "--server", s.url(), "--token", s.token(t), "--node-name", gone.host.Name())
	if said := fmt.Sprint(out, err); err == nil || !strings.Contains(said, "is down") || !strings.Contains(said, "kubectl delete node "+gone.host.Name()) {
		t.Errorf("another machine of its name: %s", said)
	}
	if left := twin.files(serverDir + "/*"); len(left) > 0 {
		t.Errorf("another machine of its name: %v are left", left)
	}
	twin.host.PowerCut()
	s.kubectl(t, "delete", "node", gone.host.Name())
	s.eventually(t, "the member of the machine that is gone is removed", func() error {
		out, err := s.try(t, "status", "-o", "wide")
		if !strings.Contains(out, "member "+s.host.Name()) { // its exit code may say that something is not well, until the member is gone
			return fmt.Errorf("it names no member (%v): %s", err, out)
		}
		if strings.Contains(out, "member "+gone.host.Name()) {
			return errors.New(out)
		}
		return nil
	})
	s.all[2] = s.newServer(t, "server4")
	s.further(t, s.all[2])
	s.up(t, s.all[2])
	s.eventually(t, "all nodes are Ready", func() error { return s.readyAre(t, "server", "server2", "server4", "agent") })
}

// oneIsLeft: two of three are gone at once; the third is made a cluster of its own, and has everything.
func oneIsLeft(t *testing.T, s *servers) {
	s.note(t, "last")
	s.all[1].host.PowerCut()
	s.all[2].host.PowerCut()
	kill(t, s.node)
	out, err := s.try(t, "server", "--cluster-reset")
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	s.serve()
	s.apiReady(t)
	for _, name := range []string{"last", "from-sqlite"} {
		if _, err := s.api.CoreV1().ConfigMaps("default").Get(t.Context(), name, metav1.GetOptions{}); err != nil {
			t.Error(err)
		}
	}
	s.kubectl(t, "delete", "node", "server2", "server4")
	s.eventually(t, "the nodes that are left are Ready", func() error { return s.readyAre(t, "server", "agent") })
	s.applyText(t, spread("alone", 1))
	s.eventually(t, "a Deployment is scheduled", func() error { return s.available("alone", 1) })
}
