package server

import (
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/skerry-io/skerry/datastore/engines"
	"github.com/skerry-io/skerry/datastore/etcd"
	"github.com/skerry-io/skerry/datastore/local"
	"github.com/skerry-io/skerry/server/pki"
	"github.com/skerry-io/skerry/server/shared"
)

// TestASingleServersDatastoreGoesIntoEtcd: all but what was shared at an earlier time; what it was in is kept.
func TestASingleServersDatastoreGoesIntoEtcd(t *testing.T) {
	s := &Server{log: slog.New(slog.DiscardHandler)}
	s.config.DataDir, s.config.NodeName = t.TempDir(), "pi"
	s.paths = s.config.Paths()
	opened, err := engines.Engine{Kind: engines.SQLite, Dir: s.paths.DBDir(), Log: s.log}.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"/registry/configmaps/default/a", "/registry/configmaps/default/b", shared.Key} {
		if _, err := opened.Client.Put(t.Context(), key, "value of "+key); err != nil {
			t.Fatal(err)
		}
	}
	before, err := opened.Client.Get(t.Context(), "/registry/configmaps/default/a")
	if err != nil {
		t.Fatal(err)
	}
	if err := opened.Close(); err != nil {
		t.Fatal(err)
	}
	loopback := netip.MustParseAddr("127.0.0.1")
	if s.pki, err = pki.Open(s.paths.TLSDir(), pki.Names{}, s.log); err != nil {
		t.Fatal(err)
	}
	if err := s.pki.OpenMember("pi", []netip.Addr{loopback}, s.log); err != nil {
		t.Fatal(err)
	}
	c := memberConfig(s.config, s.pki, loopback, s.log)
	c.Tuning = etcd.Tuning{Heartbeat: 10 * time.Millisecond, Election: 50 * time.Millisecond, Peer: 32380, Client: 32379}
	dir, err := os.MkdirTemp("", "member")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	c.Socket = filepath.Join(dir, "s")
	for range 2 { // the second time as after a power cut
		if err := s.takeAlong(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	if local.Exists(s.paths.DBDir()) || !local.Exists(filepath.Join(s.paths.DBDir(), "sqlite.former")) {
		t.Error("the former database is not set aside")
	}
	m, err := etcd.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = m.Close() }()
	client, err := m.Endpoint().Client()
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	after, err := client.Get(t.Context(), "/registry/configmaps/default/a")
	if err != nil || len(after.Kvs) != 1 || after.Kvs[0].ModRevision != before.Kvs[0].ModRevision || after.Header.Revision < before.Header.Revision {
		t.Errorf("before %v, after %v, %v", before, after, err)
	}
	if again, err := client.Get(t.Context(), shared.Key); err != nil || len(again.Kvs) > 0 {
		t.Errorf("what was shared at an earlier time is there: %v, %v", again, err)
	}
}

func TestMembersMeetAtAnAddressOfTheMachine(t *testing.T) {
	own := []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fd00::1")}
	for advertised, want := range map[string]string{"10.0.0.1": "10.0.0.1", "fd00::1": "fd00::1", "203.0.113.9": "10.0.0.1"} {
		if got := memberAddress(netip.MustParseAddr(advertised), own); got.String() != want {
			t.Errorf("advertised at %s: %s", advertised, got)
		}
	}
}
