package etcd

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"go.etcd.io/etcd/server/v3/storage/wal"
)

func TestMain(m *testing.M) {
	wal.SegmentSizeBytes = segment // before members run side by side
	flag.Parse()
	_ = flag.Set("test.parallel", "5") // they mostly wait: etcd lets nobody in within five seconds of another
	os.Exit(m.Run())
}

func TestOneMember(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.member(1)
	one := run(t, c).up()
	put(t, one.c, "/registry/a", "1")
	revision := put(t, one.c, "/registry/a", "2")
	if info, err := os.Stat(one.config.Socket); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket is %v: %v", info, err)
	}
	status, err := one.Status(t.Context())
	if err != nil || !status.Leads || status.Leader != c.Name || status.Revision != revision || len(status.Members) != 1 || status.Size == 0 {
		t.Errorf("got %+v, %v", status, err)
	}
	if err := one.end(); err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(filepath.Join(c.Dir, "*")); len(left) != 3 { // lock, member, and that it has joined
		t.Errorf("in the directory is %v", left)
	}
	one = run(t, c).up()
	if got := value(t, one.c, "/registry/a"); got != "2" {
		t.Errorf("after a restart it is %q", got)
	}
	if err := one.end(); err != nil {
		t.Fatal(err)
	}
	if Lost(c.Dir) {
		t.Error("a member that is there is lost")
	}
	if err := os.RemoveAll(filepath.Join(c.Dir, memberFolder)); err != nil {
		t.Fatal(err)
	}
	if !Lost(c.Dir) {
		t.Error("nothing tells a member that is lost from one that never was")
	}
}

// A member that was only started has done nothing that anybody could miss.
func TestAMemberThatNeverServedIsNotLost(t *testing.T) {
	t.Parallel()
	c := newSite(t).member(1)
	if Lost(c.Dir) {
		t.Error("a directory that is not there has lost its member")
	}
	m, err := Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(c.Dir, memberFolder)); err != nil {
		t.Fatal(err)
	}
	if Lost(c.Dir) {
		t.Error("it is lost")
	}
}

// A member that is asked to end before a majority answers was never ready, and leaves no mark that it has served.
func TestAMemberThatEndsIsNotReady(t *testing.T) {
	t.Parallel()
	c := newSite(t).member(1)
	m, err := Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	ready := false
	if err := m.Run(ctx, func() { ready = true }); err != nil || ready {
		t.Errorf("ready: %t, %v", ready, err)
	}
	if _, err := os.Stat(filepath.Join(c.Dir, joinedFile)); err == nil {
		t.Error("it has left its mark")
	}
}

func TestMembersJoin(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	all := cluster(t, s, 3)
	for i, m := range all {
		put(t, m.c, fmt.Sprintf("/registry/%d", i), "x")
	}
	for i := range all {
		for _, m := range all {
			if got := value(t, m.c, fmt.Sprintf("/registry/%d", i)); got != "x" {
				t.Errorf("%s says %q", m.config.Name, got)
			}
		}
	}
	members, err := all[2].Members(t.Context())
	if err != nil || len(members) != 3 {
		t.Fatal(members, err)
	}
	for i, m := range members {
		if m.Learner || m.ClientURL == "" || m.Name == "" {
			t.Errorf("member %d is %+v", i, m)
		}
	}
}
