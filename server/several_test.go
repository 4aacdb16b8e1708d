package server

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/run"
	"github.com/skerry-io/skerry/server/token"
)

func row(table []run.Service, name string) run.Service {
	if i := slices.IndexFunc(table, func(s run.Service) bool { return s.Name == name }); i >= 0 {
		return table[i]
	}
	return run.Service{}
}

// TestTheTableOfSeveralServers: what one server runs for all waits for the lease, and a server of its own has nothing of that.
func TestTheTableOfSeveralServers(t *testing.T) {
	s := certified(t, t.TempDir())
	s.config.NodeName, s.config.ServiceCIDR = "pi", []netip.Prefix{netip.MustParsePrefix("10.43.0.0/16")}
	s.config.BackupSchedule = "0 3 * * *"
	alone := s.Services()
	for _, name := range []string{"shared", "lease", "node-role", "members"} {
		if row(alone, name).Name != "" {
			t.Errorf("a server of its own has the service %s", name)
		}
	}
	s.inEtcd = true
	s.agree()
	table := s.Services()
	if _, err := run.NewGroup(s.log, table...); err != nil {
		t.Fatal(err)
	}
	for _, name := range onOneServer() {
		if r := row(table, name); !slices.Equal(r.Needs, []string{"lease"}) {
			t.Errorf("%s needs %v", name, r.Needs)
		}
	}
	for name, want := range map[string][]string{"apiserver": {"port", "shared"}, "shared": {"datastore"}, "metrics": {"apiserver"}, "members": {"apiserver"}, "storage": {"apiserver", "lease"}} {
		if r := row(table, name); !slices.Equal(r.Needs, want) {
			t.Errorf("%s needs %v, not %v", name, r.Needs, want)
		}
	}
	if r := row(alone, "storage"); !slices.Equal(r.Needs, []string{"apiserver"}) {
		t.Errorf("on a server of its own storage needs %v", r.Needs)
	}
	if row(alone, "datastore").Grace >= row(table, "datastore").Grace {
		t.Error("a member has no time to hand on its leadership")
	}
}

// TestAServerThatLostItsMemberBeginsNoOtherCluster: neither in etcd, nor by itself. What was brought back counts.
func TestAServerThatLostItsMemberBeginsNoOtherCluster(t *testing.T) {
	for name, c := range map[string]struct {
		clusterInit bool
		lost        bool
		place       string // a file that is there
		refused     bool
	}{
		"a new first server":                  {clusterInit: true},
		"a new server of its own":             {},
		"the first server, without a member":  {clusterInit: true, lost: true, refused: true},
		"another server, without a member":    {lost: true, refused: true},
		"its member is there":                 {lost: true, place: "etcd/member/wal/0.wal"},
		"a database is there":                 {lost: true, place: "skerry.db"},
		"a database is there for the cluster": {clusterInit: true, lost: true, place: "skerry.db"},
	} {
		t.Run(name, func(t *testing.T) {
			s := &Server{log: slog.New(slog.DiscardHandler)}
			s.config.DataDir, s.config.ClusterInit = t.TempDir(), c.clusterInit
			s.paths = s.config.Paths()
			if c.lost {
				place(t, s.paths.EtcdDir(), "joined")
			}
			if c.place != "" {
				place(t, s.paths.DBDir(), c.place)
			}
			err := s.enter(t.Context())
			var told *fault.Fault
			if refused := errors.As(err, &told); refused != c.refused || err != nil && !refused {
				t.Errorf("got %v", err)
			}
			if c.refused && !strings.Contains(told.Cure(), "set server") {
				t.Errorf("it says %q", told.Cure())
			}
		})
	}
}

// TestADatastoreOfOthersGoesBeforeAMember: a member that was left here from before is not used, and none is missed.
func TestADatastoreOfOthersGoesBeforeAMember(t *testing.T) {
	for _, file := range []string{"etcd/member/wal/0.wal", "etcd/joined"} {
		s := &Server{log: slog.New(slog.DiscardHandler)}
		s.config.DataDir, s.config.DatastoreEndpoint = t.TempDir(), "https://10.0.0.9:2379"
		s.paths = s.config.Paths()
		place(t, s.paths.DBDir(), file)
		if err := s.enter(t.Context()); err != nil || s.inEtcd {
			t.Errorf("with %s: in etcd %t, %v", file, s.inEtcd, err)
		}
	}
}

// place makes an empty file.
func place(t *testing.T, dir, name string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestATokenOfAnotherServerCountsHere(t *testing.T) {
	s := certified(t, t.TempDir())
	s.inEtcd = true
	s.agree()
	var err error
	if s.tokens, err = token.Open(s.tokenConfig(), s.pki.ServerCA.Certificate, s.log); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.paths.TokenFile(), []byte("another\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.reload(t.Context(), []string{"tls/server-ca.crt"})
	if s.tokens.IsServer("another") {
		t.Error("it was read for the sake of another file")
	}
	s.reload(t.Context(), []string{"token"})
	if !s.tokens.IsServer("another") {
		t.Error("the old token counts")
	}
}

// TestServersThatCannotBeFound: a rotation must not take silence for a cluster of one.
func TestServersThatCannotBeFound(t *testing.T) {
	s := certified(t, t.TempDir())
	s.inEtcd, s.config.HTTPSListenPort = true, 1 // where nobody answers
	s.agree()
	if others, err := s.others(t.Context()); err == nil {
		t.Errorf("a rotation would ask %v", others)
	}
	if urls := s.servers(t.Context()); !slices.Equal(urls, []string{s.advertised()}) {
		t.Errorf("nodes are told of %v", urls)
	}
}

func TestAServerThatIsStartingIsNotStalled(t *testing.T) {
	s := &Server{log: slog.New(slog.DiscardHandler)}
	if s.stalled() {
		t.Error("it sends clients away")
	}
}

func TestEntryBeforeTheDatastoreIsThere(t *testing.T) {
	s := &Server{}
	if _, err := s.Enter(context.Background(), "b", ""); err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
