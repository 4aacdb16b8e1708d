package engines

import (
	"strings"

	"github.com/skerry-io/skerry/datastore/etcd"
	"github.com/skerry-io/skerry/internal/config"
	"github.com/skerry-io/skerry/internal/fault"
)

// Named is the engine that a word or an address stands for: sqlite, etcd, or what the setting datastore-endpoint takes.
func Named(text config.Secret) (Engine, error) {
	switch word := text.Reveal(); word {
	case SQLite, Etcd:
		return Engine{Kind: word}, nil
	case "":
		return Engine{}, fault.New("nothing says which engine").Fix("write %s, %s, or the address of a database as for datastore-endpoint", SQLite, Etcd)
	}
	if !strings.Contains(text.Reveal(), "://") { // which may still hold a secret
		return Engine{}, fault.New("this is no engine that is known").Fix("write %s, %s, or the address of a database as for datastore-endpoint", SQLite, Etcd)
	}
	endpoint, err := config.ParseEndpoint(text)
	if err != nil {
		return Engine{}, err
	}
	return Engine{Endpoint: endpoint}, nil
}

// Present is the engine that a server on this machine would use, by what it finds and where others run one for it.
func Present(p config.Paths, endpoint config.Endpoint) Engine {
	switch {
	case endpoint.Kind != "":
		return Engine{Endpoint: endpoint, Dir: p.DBDir()}
	case etcd.Exists(p.EtcdDir()):
		return Engine{Kind: Etcd, Dir: p.DBDir()}
	}
	return Engine{Kind: SQLite, Dir: p.DBDir()}
}
