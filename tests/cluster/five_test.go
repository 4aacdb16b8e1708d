package cluster_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestFiveServers: of five servers two are lost at the same moment, the one that has etcd's word and the one that holds the lease among
// them. The API answers within ten seconds on each of the others, nothing that was answered is lost, and both come back.
func TestFiveServers(t *testing.T) {
	s := newServers(t, 5, nil)
	began := time.Now()
	s.host.Write(configFile, []byte(quickly()+"cluster-init: true\n"))
	s.serve()
	s.apiReady(t)
	for _, n := range s.all[1:] {
		s.further(t, n)
	}
	s.up(t, s.all...)
	var names []string
	for _, n := range s.all {
		names = append(names, n.host.Name())
	}
	s.eventually(t, "all nodes are Ready", func() error { return s.readyAre(t, names...) })
	s.eventually(t, "all members have a vote", func() error { return s.vote(t, s.node) })
	t.Logf("five servers were up after %s", time.Since(began).Round(time.Second))

	lost := s.twoThatLead(t)
	rest := slices.DeleteFunc(slices.Clone(s.all), func(n *node) bool { return slices.Contains(lost, n) })
	var writers []*scribe
	for i, n := range rest {
		writers = append(writers, write(t, n, fmt.Sprintf("w%d", i)))
	}
	for _, w := range writers {
		w.node.eventually(t, "a write is answered", func() error { return w.answeredSince(began) })
	}
	died := time.Now()
	for _, n := range lost {
		kill(t, n)
	}
	for _, w := range writers {
		w.node.eventually(t, "the API answers on "+w.node.host.Name(), func() error { return w.answeredSince(died.Add(time.Second)) })
	}
	t.Logf("the API answered on all others %s after %s and %s were killed", time.Since(died).Round(10*time.Millisecond), lost[0].host.Name(), lost[1].host.Name())
	s.leaderAfter(t, rest[0], lost[1])
	for i, w := range writers {
		w.all(t, rest[(i+1)%len(rest)])
		if w.longest > 10*time.Second {
			t.Errorf("the API did not answer on %s for %s", w.node.host.Name(), w.longest)
		}
	}
	for _, n := range lost {
		n.serve()
	}
	s.up(t, lost...)
	for _, n := range lost {
		for _, w := range writers {
			w.all(t, n)
		}
	}
	rest[0].eventually(t, "all nodes are Ready again", func() error { return (&cluster{node: rest[0]}).readyAre(t, names...) })
}

// vote is nil when the status names each server as a member that leads or follows.
func (s *servers) vote(t *testing.T, ask *node) error {
	t.Helper()
	said, _ := ask.try(t, "status", "-o", "wide") // its exit code says whether all is well, which is not asked here
	for _, n := range s.all {
		if state := s.role(said, n); state != "leads" && state != "follows" {
			return errors.New(said)
		}
	}
	return nil
}

// role is what a status says of a server's member of etcd.
func (s *servers) role(said string, n *node) string {
	for line := range strings.Lines(said) {
		if fields := strings.Fields(line); len(fields) > 3 && fields[0] == "datastore" && fields[1] == "member" && fields[2] == n.host.Name() {
			return fields[3]
		}
	}
	return ""
}

// twoThatLead are the server that has etcd's word and the one that holds the lease; when they are the same, it and another one.
func (s *servers) twoThatLead(t *testing.T) []*node {
	t.Helper()
	said, holder := s.skerry(t, "status", "-o", "wide"), s.leader(t, s.node)
	for _, n := range s.all {
		if s.role(said, n) == "leads" && n != holder {
			return []*node{n, holder}
		}
	}
	for _, n := range s.all {
		if n != holder {
			return []*node{n, holder}
		}
	}
	return nil
}
