package etcd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/etcd/server/v3/etcdserver"

	"github.com/skerry-io/skerry/tests/certtest"
)

// kill ends a member as a crash does for the others: without handing on its leadership.
func (r *running) kill() {
	r.t.Helper()
	r.etcd.Server.HardStop()
	_ = r.over()
}

// leader is who leads, of members that run.
func leader(t testing.TB, all ...*running) int {
	t.Helper()
	until := time.Now().Add(most)
	for time.Now().Before(until) {
		for i, m := range all {
			if m.etcd.Server.Leader() == m.etcd.Server.MemberID() {
				return i
			}
		}
		wait(t.Context(), 20*time.Millisecond)
	}
	t.Fatal("nobody leads")
	return 0
}

// Whoever is lost, and be it the leader, the others go on, and all that was answered is there.
func TestALostMemberIsReplaced(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	all := cluster(t, s, 3)
	lost := leader(t, all...)
	left := append(append([]*running{}, all[:lost]...), all[lost+1:]...)
	answered := map[string]string{}
	var mu sync.Mutex
	var writing sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	for i, m := range all {
		writing.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				key := fmt.Sprintf("/registry/%d-%d", i, n)
				asked, stop := context.WithTimeout(ctx, time.Second)
				if _, err := m.c.Put(asked, key, "x"); err == nil {
					mu.Lock()
					answered[key] = "x"
					mu.Unlock()
				}
				stop()
			}
		})
	}
	wait(t.Context(), 500*time.Millisecond)
	all[lost].kill()
	began := time.Now()
	put(t, left[0].c, "/registry/after", "x")
	t.Logf("the others answered %s after the leader was lost", time.Since(began))
	stop()
	writing.Wait()
	for key, want := range answered {
		if got := value(t, left[1].c, key); got != want {
			t.Fatalf("%s was answered, and is %q", key, got)
		}
	}
	t.Logf("%d writes were answered", len(answered))
	// It comes back with what it had, and then without.
	back := run(t, all[lost].config).up()
	if got := value(t, back.c, "/registry/after"); got != "x" {
		t.Errorf("the member that came back says %q", got)
	}
	back.kill()
	if err := os.RemoveAll(filepath.Join(back.config.Dir, memberFolder)); err != nil {
		t.Fatal(err)
	}
	c := back.config
	c.Members = []string{left[0].config.ClientURL(), left[1].config.ClientURL()}
	was := back.etcd.Server.MemberID()
	anew := run(t, c).up()
	if got := value(t, anew.c, "/registry/after"); got != "x" || anew.etcd.Server.MemberID() == was {
		t.Errorf("the member that was made anew says %q", got)
	}
	members, err := anew.Members(t.Context())
	if err != nil || len(members) != 3 {
		t.Errorf("%+v, %v", members, err)
	}
}

// A machine that cannot say that it was the member of its name, or at its address, does not take its place, also while that is down: it may
// be another one. Nor does it when the member was made anew since. Once somebody has removed the member it joins.
func TestADownMemberKeepsItsPlace(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	all := cluster(t, s, 3)
	put(t, all[0].c, "/registry/a", "1")
	wait(t.Context(), etcdserver.HealthInterval)
	all[2].kill()
	other := s.member(4, all[0].config.ClientURL())
	other.Name = all[2].config.Name
	same := s.member(3, all[0].config.ClientURL())
	former := s.member(3, all[0].config.ClientURL())
	if err := errors.Join(os.MkdirAll(former.Dir, 0o700), former.mark(hex(uint64(all[1].etcd.Server.MemberID())), nil)); err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]Config{"another machine of the name": other, "a machine at the address": same, "one that was another member": former} {
		_, err := try(t, c)
		refusal(t, err, all[2].config.Name, "is down", "node-name", "kubectl delete node "+all[2].config.Name)
		if Exists(c.Dir) {
			t.Errorf("%s: something was left behind", what)
		}
	}
	refusal(t, all[0].Free(t.Context(), other.Name, Was(other.Dir)), "is down")
	refusal(t, all[0].Free(t.Context(), all[1].config.Name, Was(all[1].config.Dir)), "runs")
	for name, was := range map[string]string{other.Name: Was(all[2].config.Dir), "server-9": ""} {
		if err := all[0].Free(t.Context(), name, was); err != nil {
			t.Error(err)
		}
	}
	if members, err := all[0].Members(t.Context()); err != nil || len(members) != 3 {
		t.Fatalf("%+v, %v", members, err)
	}
	back := run(t, all[2].config).up()
	put(t, back.c, "/registry/b", "2")
	back.kill()
	wait(t.Context(), etcdserver.HealthInterval)
	if err := all[0].Remove(t.Context(), back.config.Name); err != nil {
		t.Fatal(err)
	}
	if got := value(t, run(t, other).up().c, "/registry/b"); got != "2" {
		t.Errorf("the machine in its place says %q", got)
	}
}

func TestFiveMembers(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	all := make([]*running, 5)
	all[0] = run(t, s.member(1)).up()
	var joining sync.WaitGroup
	for n := 2; n <= len(all); n++ { // all at once
		c := s.member(n, all[0].config.ClientURL())
		joining.Go(func() {
			var err error
			if all[n-1], err = try(t, c); err != nil {
				t.Error(err)
			}
		})
	}
	joining.Wait()
	if t.Failed() {
		return
	}
	for _, m := range all {
		m.up()
	}
	put(t, all[4].c, "/registry/a", "1")
	all[0].kill()
	all[1].kill()
	put(t, all[4].c, "/registry/b", "2")
	if got := value(t, all[3].c, "/registry/a"); got != "1" {
		t.Errorf("got %q", got)
	}
}

// A member that was removed while it ran ends, and one that was removed while it was away refuses, both with what to do.
func TestARemovedMemberRefuses(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	all := cluster(t, s, 3)
	wait(t.Context(), etcdserver.HealthInterval)
	if err := all[0].Remove(t.Context(), "server-9"); err == nil {
		t.Error("a member that is none was removed")
	} else {
		refusal(t, err, "server-9", "server-2")
	}
	if err := all[0].Remove(t.Context(), "server-3"); err != nil {
		t.Fatal(err)
	}
	refusal(t, all[2].over(), "was removed", all[2].config.Dir, "join again")
	again, err := try(t, all[2].config)
	if err == nil {
		err = again.over()
	}
	refusal(t, err, "was removed")
	if err := os.RemoveAll(filepath.Join(all[2].config.Dir, memberFolder)); err != nil {
		t.Fatal(err)
	}
	run(t, s.member(3, all[0].config.ClientURL())).up()
}

func TestTheMajorityIsNotTaken(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	all := cluster(t, s, 3)
	wait(t.Context(), etcdserver.HealthInterval)
	all[2].kill()
	wait(t.Context(), time.Second)
	refusal(t, all[0].Remove(t.Context(), "server-2"), "server-2", "majority")
	if err := all[0].Remove(t.Context(), "server-3"); err != nil { // it is dead, and not needed
		t.Error(err)
	}
}

func TestTwoOfOneName(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	all := cluster(t, s, 2)
	wait(t.Context(), etcdserver.HealthInterval)
	c := s.member(3, all[0].config.ClientURL())
	c.Name = all[1].config.Name
	_, err := try(t, c)
	refusal(t, err, c.Name, "runs")
	if members, err := all[0].Members(t.Context()); err != nil || len(members) != 2 {
		t.Errorf("%+v, %v", members, err)
	}
	if Exists(c.Dir) {
		t.Error("something was left behind")
	}
}

func TestStrangersAreRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	one := run(t, s.member(1)).up()
	for name, spoil := range map[string]func(*Config){
		"the cluster has another authority": func(c *Config) { c.Client.CAFile = issue(t, certtest.New(t), c.Address).CAFile },
		"the server has another authority": func(c *Config) {
			ca := c.Client.CAFile
			c.Client = issue(t, certtest.New(t), c.Address)
			c.Client.CAFile = ca
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := s.member(2, one.config.ClientURL())
			spoil(&c)
			_, err := try(t, c)
			refusal(t, err, "certificates of different authorities")
		})
	}
	if members, err := one.Members(t.Context()); err != nil || len(members) != 1 {
		t.Errorf("%+v, %v", members, err)
	}
}

func TestADirectoryInUse(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.member(1)
	one := run(t, c).up()
	_, err := Start(t.Context(), c)
	refusal(t, err, "in use", c.Dir)
	_, err = Reset(t.Context(), c)
	refusal(t, err, "in use")
	put(t, one.c, "/registry/a", "1")
	other := s.member(2)
	other.Address = c.Address
	_, err = Start(t.Context(), other)
	refusal(t, err, "in use", "2379")
	if Exists(other.Dir) {
		t.Error("something was left behind")
	}
}

// Another address is told to the cluster.
func TestAnotherAddress(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.member(1)
	one := run(t, c).up()
	put(t, one.c, "/registry/a", "1")
	if err := one.end(); err != nil {
		t.Fatal(err)
	}
	moved := s.member(7)
	moved.Dir, moved.Name = c.Dir, c.Name
	one = run(t, moved).up()
	members, err := one.Members(t.Context())
	if err != nil || members[0].PeerURLs[0] != moved.PeerURL() || members[0].ClientURL != moved.ClientURL() {
		t.Errorf("%+v, %v", members, err)
	}
	two := run(t, s.member(2, moved.ClientURL())).up()
	if got := value(t, two.c, "/registry/a"); got != "1" {
		t.Errorf("got %q", got)
	}
}

// A server that lost its disk when the other one alone is no majority waits, and changes nothing.
func TestOneOfTwoIsNoMajority(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	all := cluster(t, s, 2)
	all[1].kill()
	if err := os.RemoveAll(all[1].config.Dir); err != nil {
		t.Fatal(err)
	}
	c := all[1].config
	c.Members = []string{all[0].config.ClientURL()}
	ctx, stop := context.WithTimeout(t.Context(), 8*time.Second)
	defer stop()
	_, err := Start(ctx, c)
	refusal(t, err, "majority", c.Members[0])
	if Exists(c.Dir) {
		t.Error("something was left behind")
	}
	if status, err := all[0].Status(t.Context()); err != nil || len(status.Members) != 2 || status.Leader != "" {
		t.Errorf("%+v, %v", status, err)
	}
}

// A learner that is stopped, or loses its disk, before it has a vote goes on from where it was.
func TestALearnerStops(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	one := run(t, s.member(1)).up()
	c := s.member(2, one.config.ClientURL())
	for range 2 {
		m, err := Start(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		until(t, "it learns what it is", func() bool {
			status, err := m.Status(t.Context())
			return err == nil && status.Learner && len(status.Members) == 2
		})
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(c.Dir); err != nil {
			t.Fatal(err)
		}
	}
	m, err := Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	two := run(t, c).up()
	put(t, two.c, "/registry/a", "1")
	if status, err := one.Status(t.Context()); err != nil || len(status.Members) != 2 || status.Members[0].Learner || status.Members[1].Learner {
		t.Errorf("%+v, %v", status, err)
	}
}

// With the numbers of the product, the others answer soon when the leader's process is killed, or its machine does not answer any more.
func TestTheOthersAnswerSoon(t *testing.T) {
	t.Parallel()
	all, _ := processes(t, newSite(t), 3, true)
	for _, how := range []syscall.Signal{syscall.SIGKILL, syscall.SIGSTOP} {
		lost := 0
		for i, p := range all {
			answer, err := p.c.Status(t.Context(), p.c.Endpoints()[0])
			if err != nil {
				t.Fatal(err)
			}
			if answer.Leader == answer.Header.MemberId {
				lost = i
			}
		}
		all[lost].signal(how)
		began := time.Now()
		for i, p := range all {
			if i != lost {
				put(t, p.c, "/registry/after", "1")
			}
		}
		took := time.Since(began)
		t.Logf("both others answered %s after signal %s", took, how)
		if took > 10*time.Second {
			t.Errorf("it took %s", took)
		}
		if how == syscall.SIGKILL {
			all[lost].over()
			all[lost].start()
			put(t, all[lost].c, "/registry/back", "1")
		}
	}
}
