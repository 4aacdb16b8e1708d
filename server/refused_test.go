package server

import (
	"bytes"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/tests/testdb"
)

// TestDatastoreOfOthersRefuses: what waiting does not cure is one error with a cure, which holds no password, and nothing was made.
func TestDatastoreOfOthersRefuses(t *testing.T) {
	maria, etcd := testdb.MariaDB(t), testdb.Etcd(t)
	for name, c := range map[string]struct{ endpoint, authority, cert, key string }{
		"mariadb, another authority":     {maria.MySQLURL("refuses"), maria.OtherCA(), "", ""},
		"mariadb, a wrong password":      {strings.Replace(maria.MySQLURL("refuses"), "battery", "butter", 1), maria.CA, "", ""},
		"etcd, another authority":        {etcd.EtcdURL(), etcd.OtherCA(), etcd.Cert, etcd.Key},
		"etcd, no certificate":           {etcd.EtcdURL(), etcd.CA, "", ""},
		"etcd, a certificate of another": {etcd.EtcdURL(), etcd.CA, maria.Cert, maria.Key},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wanted := meeting(t, "a", c.endpoint, "of-the-servers")
			wanted.DatastoreCAFile, wanted.DatastoreCertFile, wanted.DatastoreKeyFile = c.authority, c.cert, c.key
			var log bytes.Buffer
			_, err := prepared(t, wanted, &log)
			var told *fault.Fault
			if !errors.As(err, &told) || told.Cure() == "" {
				t.Fatalf("%v\n%s", err, &log)
			}
			for _, secret := range []string{"horse", "battery", "butter", "staple"} {
				if strings.Contains(err.Error()+log.String(), secret) {
					t.Errorf("the password is told: %v\n%s", err, &log)
				}
			}
			if made, _ := filepath.Glob(wanted.Paths().ServerDir() + "/*/*"); len(made) > 0 {
				t.Errorf("it has made %v", made)
			}
		})
	}
}
