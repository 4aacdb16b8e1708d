package testdb

import (
	"net/netip"
	"os"
	"path/filepath"

	"github.com/skerry-io/skerry/tests/certtest"
)

// certificates makes an authority and the server's certificate, for 127.0.0.1 and where else it is reached, in files that the database's
// user owns.
func (s *Server) certificates() {
	s.t.Helper()
	take := func(file string) string {
		text, err := os.ReadFile(file)
		if err != nil {
			s.t.Fatal(err)
		}
		return s.write(filepath.Base(file), string(text), 0o600)
	}
	ca, cert, key := certtest.New(s.t).Issue(s.t, netip.MustParseAddr("127.0.0.1"), s.at...)
	s.CA, s.Cert, s.Key = take(ca), take(cert), take(key)
}

// OtherCA is the file of an authority that the server's certificate is not from.
func (s *Server) OtherCA() string {
	s.t.Helper()
	return certtest.New(s.t).File()
}
