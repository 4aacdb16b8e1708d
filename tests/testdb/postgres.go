package testdb

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"
)

// Postgres starts a server that asks for the password, and takes TLS. Its certificate is for 127.0.0.1 and the addresses at which it
// is reached.
func Postgres(t testing.TB, at ...netip.Addr) *Server {
	t.Helper()
	initdb := program(t, "initdb", "/usr/lib/postgresql/*/bin/initdb", "postgresql")
	s := &Server{t: t, at: at, dir: folder(t), program: filepath.Join(filepath.Dir(initdb), "postgres"), Port: freePort(t)}
	data := filepath.Join(s.dir, "data")
	s.must(initdb, "--pgdata="+data, "--username="+User, "--pwfile="+s.write("password", Password, 0o600), "--auth=scram-sha-256",
		"--no-sync", "--no-instructions", "--encoding=UTF8", "--no-locale")
	s.certificates()
	s.args = []string{"-D", data, "-p", fmt.Sprint(s.Port), "-k", s.dir}
	for _, setting := range []string{"listen_addresses=127.0.0.1", "fsync=off", "full_page_writes=off", "shared_buffers=32MB", "max_connections=100",
		"ssl=on", "ssl_cert_file=" + s.Cert, "ssl_key_file=" + s.Key} {
		s.args = append(s.args, "-c", setting)
	}
	s.answers = func(ctx context.Context) error {
		c, err := pgx.Connect(ctx, s.PostgresURL("postgres"))
		if err != nil {
			return err
		}
		return c.Close(ctx)
	}
	s.begin()
	return s
}

// PostgresURL is the datastore-endpoint of a database of the server, which need not be there.
func (s *Server) PostgresURL(database string) string {
	return fmt.Sprintf("postgres://%s:%s@127.0.0.1:%d/%s", User, escaped(), s.Port, database)
}

// PostgresSocket is the same over a unix socket.
func (s *Server) PostgresSocket(database string) string {
	return fmt.Sprintf("postgres://%s:%s@/%s?host=%s&port=%d", User, escaped(), database, s.dir, s.Port)
}
