package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skerry-io/skerry/internal/fault"
)

func TestEndpoints(t *testing.T) {
	for text, want := range map[string]Endpoint{
		"":                              {},
		"https://a:2379,https://b:2379": {Kind: KindEtcd, URLs: []string{"https://a:2379", "https://b:2379"}, Place: "etcd at https://a:2379,https://b:2379"},
		"http://127.0.0.1:2379/":        {Kind: KindEtcd, URLs: []string{"http://127.0.0.1:2379"}, Place: "etcd at http://127.0.0.1:2379"},
		"postgres://u:p%40ss@h:5432/db": {Kind: KindPostgres, Source: "postgres://u:p%40ss@h:5432/db", Place: "postgres at h:5432/db"},
		"postgresql://u@h?sslmode=off":  {Kind: KindPostgres, Source: "postgres://u@h/kubernetes?sslmode=off", Place: "postgres at h/kubernetes"},
		"postgres:///db?host=/run/pg":   {Kind: KindPostgres, Source: "postgres:///db?host=/run/pg", Place: "postgres at /run/pg/db"},
		"mysql://u:p@/s@tcp(h:3306)/db": {Kind: KindMySQL, Source: "u:p@/s@tcp(h:3306)/db", Place: "mysql at h:3306/db"},
		"mysql://u@unix(/run/m.sock)/":  {Kind: KindMySQL, Source: "u@unix(/run/m.sock)/kubernetes", Place: "mysql at /run/m.sock/kubernetes"},
		"mysql://u@tcp(h)/?timeout=1s":  {Kind: KindMySQL, Source: "u@tcp(h)/kubernetes?timeout=1s", Place: "mysql at h/kubernetes"},
	} {
		got, err := ParseEndpoint(Secret(text))
		if err != nil || fmt.Sprintf("%#v %s", got, got.Source.Reveal()) != fmt.Sprintf("%#v %s", want, want.Source.Reveal()) {
			t.Errorf("%q: got %#v %s, %v", text, got, got.Source.Reveal(), err)
		}
	}
}

// An error is logged and printed, and what it is about may hold a password.
func TestEndpointsThatCannotBe(t *testing.T) {
	for text, want := range map[string]string{
		"hunter2":                                 "does not begin with a scheme",
		"mongodb://u:hunter2@h/db":                "is not known",
		"hunter2://h":                             "is not known",
		"https://":                                "not a list of addresses of etcd",
		"https://h:hunter2":                       "not a list of addresses of etcd",
		"https://a:2379,":                         "not a list of addresses of etcd",
		"https://a:2379/hunter2":                  "not a list of addresses of etcd",
		"https://a:2379,http://b:2379":            "mixes",
		"https://u:hunter2@a:2379":                "holds a user",
		"https://a:2379,postgres://u:hunter2@b/c": "not a list of addresses of etcd",
		"postgres://u:hunter2/x@h/db":             "not the address of a Postgres",
		"postgres://u:hunter2%zz@h/db":            "not the address of a Postgres",
		"postgres:///hunter2":                     "not the address of a Postgres",
		"mysql://u:hunter2@tcp(h:3306)":           "not the address of a MySQL",
		"mysql://u:hunter2@h:3306/db":             "not the address of a MySQL",
		"mysql://u:hunter2@tcp()/db":              "not the address of a MySQL",
		"mysql://u:hunter2@pipe(x)/db":            "not the address of a MySQL",
	} {
		e, err := ParseEndpoint(Secret(text))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") || e.Kind != "" {
			t.Errorf("%q: got %+v, %v", text, e, err)
		}
	}
}

func TestEndpointFiles(t *testing.T) {
	there := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(there, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	const etcd = "https://a:2379"
	for name, c := range map[string]struct {
		s    Server
		want string
	}{
		"all":              {Server{DatastoreEndpoint: etcd, DatastoreCAFile: there, DatastoreCertFile: there, DatastoreKeyFile: there}, ""},
		"none":             {Server{}, ""},
		"missing":          {Server{DatastoreEndpoint: etcd, DatastoreCAFile: there + "x"}, "no such file"},
		"a folder":         {Server{DatastoreEndpoint: etcd, DatastoreCAFile: filepath.Dir(there)}, "not a regular file"},
		"relative":         {Server{DatastoreEndpoint: etcd, DatastoreCAFile: "ca.crt"}, "not an absolute path"},
		"without a store":  {Server{DatastoreCAFile: there}, "datastore-endpoint is not"},
		"without a key":    {Server{DatastoreEndpoint: etcd, DatastoreCertFile: there}, "belong together"},
		"http":             {Server{DatastoreEndpoint: "http://a:2379", DatastoreCAFile: there}, "which no certificate protects"},
		"a bad endpoint":   {Server{DatastoreEndpoint: "u:hunter2@x"}, "does not begin with a scheme"},
		"unknown password": {Server{DatastoreEndpoint: "x://u:hunter2@x"}, "not known"},
	} {
		var p fault.Problems
		c.s.validateEndpoint(&p)
		err := p.Err()
		if (err == nil) != (c.want == "") || err != nil && (!strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2")) {
			t.Errorf("%s: %v", name, err)
		}
		for _, one := range p.List() {
			if one.Cure() == "" {
				t.Errorf("%s: %s has no cure", name, one.What())
			}
		}
	}
}
