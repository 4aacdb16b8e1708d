package testdb

import (
	"context"
	"database/sql"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	_ "github.com/go-sql-driver/mysql" // registers itself with database/sql
)

// MariaDB starts a server that asks for the password, and takes TLS. Its certificate is for 127.0.0.1 and the addresses at which it
// is reached.
func MariaDB(t testing.TB, at ...netip.Addr) *Server {
	t.Helper()
	s := &Server{t: t, at: at, dir: folder(t), program: program(t, "mariadbd", "/usr/sbin/mariadbd", "mariadb-server"), Port: freePort(t)}
	install := program(t, "mariadb-install-db", "/usr/bin/mariadb-install-db", "mariadb-server")
	data := filepath.Join(s.dir, "data")
	s.must(install, "--no-defaults", s.flag("datadir", data), "--auth-root-authentication-method=normal", "--skip-test-db", "--innodb-flush-method=nosync")
	s.certificates()
	first := s.write("init.sql", fmt.Sprintf("CREATE USER '%s'@'127.0.0.1' IDENTIFIED BY '%s';\nGRANT ALL ON *.* TO '%s'@'127.0.0.1';\n"+
		"CREATE USER '%s'@'localhost' IDENTIFIED BY '%s';\nGRANT ALL ON *.* TO '%s'@'localhost';\n", User, Password, User, User, Password, User), 0o600)
	s.args = []string{"--no-defaults", s.flag("datadir", data), s.flag("socket", s.socket()), s.flag("port", s.Port), "--bind-address=127.0.0.1",
		s.flag("pid-file", filepath.Join(s.dir, "pid")), s.flag("init-file", first), "--skip-name-resolve", "--skip-log-bin",
		"--innodb-flush-log-at-trx-commit=0", "--innodb-flush-method=nosync", "--innodb-buffer-pool-size=64M", "--innodb-log-file-size=16M",
		s.flag("ssl-ca", s.CA), s.flag("ssl-cert", s.Cert), s.flag("ssl-key", s.Key)}
	s.answers = func(ctx context.Context) error {
		db, err := sql.Open("mysql", s.MySQLURL("")[len("mysql://"):])
		if err != nil {
			return err
		}
		defer db.Close()
		return db.PingContext(ctx)
	}
	s.begin()
	s.args = slices.DeleteFunc(s.args, func(arg string) bool { return strings.HasPrefix(arg, "--init-file=") }) // the users are there from now on
	return s
}

func (s *Server) socket() string { return filepath.Join(s.dir, "socket") }

// MySQLURL is the datastore-endpoint of a database of the server, which need not be there.
func (s *Server) MySQLURL(database string) string {
	return fmt.Sprintf("mysql://%s:%s@tcp(127.0.0.1:%d)/%s", User, Password, s.Port, database)
}

// MySQLSocket is the same over a unix socket.
func (s *Server) MySQLSocket(database string) string {
	return fmt.Sprintf("mysql://%s:%s@unix(%s)/%s", User, Password, s.socket(), database)
}
