package cluster_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-io/skerry/tests/testdb"
	"github.com/skerry-io/skerry/tests/testhost"
)

// stranger is a database server that others run, on a host of the lab.
type stranger struct {
	*testdb.Server
	at  string              // host and port, for the lab's hosts
	url func(string) string // the datastore-endpoint of a database, on the machine itself
}

// kind is a kind of database server.
type kind struct {
	engine    string // as datastore status names it
	start     func(testing.TB, ...netip.Addr) *testdb.Server
	url       func(*testdb.Server, string) string
	certified bool // who asks is known by a certificate, and not by a password
}

func postgres() kind { return kind{"postgres", testdb.Postgres, (*testdb.Server).PostgresURL, false} }
func mariaDB() kind  { return kind{"mysql", testdb.MariaDB, (*testdb.Server).MySQLURL, false} }
func etcd() kind {
	return kind{"etcd", testdb.Etcd, func(s *testdb.Server, _ string) string { return s.EtcdURL() }, true}
}

// newStranger lets hosts of the lab reach a database that listens on the machine's own loopback address.
func newStranger(t *testing.T, lab *testhost.Lab, k kind) stranger {
	t.Helper()
	host := lab.Host("database")
	db := k.start(t, netip.MustParseAddr(host.Address()))
	at := net.JoinHostPort(host.Address(), strconv.Itoa(db.Port))
	listener := host.Listen(at)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			go pass(from, fmt.Sprintf("127.0.0.1:%d", db.Port))
		}
	}()
	return stranger{db, at, func(database string) string { return k.url(db, database) }}
}

// pass joins a connection with one to an address, until one side ends.
func pass(from net.Conn, address string) {
	defer from.Close()
	to, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer to.Close()
	go func() {
		_, _ = io.Copy(to, from)
		_ = to.Close()
	}()
	_, _ = io.Copy(from, to)
}

func (s stranger) endpoint() string {
	return strings.Replace(s.url("skerry"), fmt.Sprintf("127.0.0.1:%d", s.Port), s.at, 1)
}

// TestPostgres: two servers meet at a database that others run and that boots later than they do; one of them dies.
func TestPostgres(t *testing.T) {
	s := newServers(t, 2, nil)
	db := newStranger(t, s.lab, postgres())
	for _, n := range s.all {
		n.host.Write(configFile, []byte(quickly()+"token: of-the-servers\ndatastore-endpoint: "+db.endpoint()+"\n"))
	}
	db.Stop()
	s.serve()
	s.eventually(t, "the log says what is waited for", func() error {
		if !strings.Contains(s.proc.Output(), "is waited for") {
			return fmt.Errorf("it says %s", tail(s.proc.Output(), 5))
		}
		return nil
	})
	db.Start()
	s.ready(t)
	s.note(t, "kept")
	t.Run("a restart", func(t *testing.T) { comesBack(t, s, db) })
	s.all[1].serve()
	s.up(t, s.all[1])
	s.eventually(t, "both nodes are Ready", func() error { return s.readyAre(t, "server", "server2") })
	t.Run("what it says of itself", func(t *testing.T) { saysPostgres(t, s.all[1], db) })
	t.Run("the server that leads is killed", func(t *testing.T) {
		leader := s.leader(t, s.all[1])
		other := s.all[0]
		if leader == other {
			other = s.all[1]
		}
		w := write(t, other, "beside")
		kill(t, leader)
		other.eventually(t, "another one leads", func() error {
			lease, err := other.api.CoordinationV1().Leases("kube-system").Get(t.Context(), "skerry-server", metav1.GetOptions{})
			if err != nil || s.holder(lease) != other {
				return fmt.Errorf("%v, %v", lease.Spec.HolderIdentity, err)
			}
			return nil
		})
		w.all(t, other)
		if w.longest > 10*time.Second {
			t.Errorf("no write was answered for %s", w.longest)
		}
		other.holds(t, map[string]bool{"kept": true})
	})
	for _, n := range s.all {
		noPassword(t, n)
	}
}

// comesBack: a server that has been there before waits for the database in the open, and has everything again.
func comesBack(t *testing.T, s *servers, db stranger) {
	s.stop(t)
	db.Stop()
	s.serve()
	s.statusUntil(t, "the status says what is waited for", func(told told) bool {
		for _, c := range told.Components {
			if c.Service == "datastore" && c.State == "waited for" {
				return true
			}
		}
		return false
	})
	db.Start()
	s.ready(t)
	s.holds(t, map[string]bool{"kept": true})
}

func saysPostgres(t *testing.T, n *node, db stranger) {
	var said struct {
		Engine, Place, Error string
		Size, Revision, Keys int64
	}
	if err := json.Unmarshal([]byte(n.skerry(t, "datastore", "status", "-o", "json")), &said); err != nil {
		t.Fatal(err)
	}
	if said.Engine != "postgres" || said.Place != "postgres at "+db.at+"/skerry" || said.Error != "" || said.Size < 10_000 || said.Revision < 100 || said.Keys < 100 {
		t.Errorf("it says %+v", said)
	}
}

// noPassword looks for the database's password where others than root may read.
func noPassword(t *testing.T, n *node) {
	t.Helper()
	text, err := os.ReadFile(n.host.Path("/var/lib/skerry/last-run.json"))
	if err != nil {
		t.Error(err)
	}
	for _, secret := range []string{"correct horse", "battery", "staple"} {
		if n.proc != nil && strings.Contains(n.proc.Output(), secret) || strings.Contains(string(text), secret) {
			t.Errorf("%s tells the password", n.host.Name())
		}
	}
}
