package datastore

import (
	"crypto/tls"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/skerry-io/skerry/internal/fault"
)

// Endpoint is where a server's datastore answers the etcd v3 API, whatever the engine: for the API server, backups, and whoever
// reads all of it.
type Endpoint struct {
	// URLs are unix:// sockets, or http(s):// addresses of members of one cluster.
	URLs []string
	// CAFile, CertFile and KeyFile are for https; CertFile and KeyFile belong together. All are empty for a socket.
	CAFile, CertFile, KeyFile string
}

const (
	// dialPatience is how long one connection may take to come about.
	dialPatience = 5 * time.Second
	// alive and dead are for connections that break without a word: asked this often, given up after that long.
	alive = 10 * time.Second
	dead  = 5 * time.Second
)

// TLS is what a client of the endpoint needs for https, nil when it needs nothing. Certificate and key are read again for each
// connection, so that renewed ones count.
func (e Endpoint) TLS() (*tls.Config, error) {
	if e.CAFile == "" && e.CertFile == "" && e.KeyFile == "" {
		return nil, nil
	}
	settings, err := transport.TLSInfo{TrustedCAFile: e.CAFile, CertFile: e.CertFile, KeyFile: e.KeyFile}.ClientConfig()
	if err != nil {
		return nil, fault.New("read the datastore's certificates").Because(err).Fix("check %s, %s and %s", e.CAFile, e.CertFile, e.KeyFile)
	}
	return settings, nil
}

// Client is a client of all URLs, which goes to those that answer. It connects when it is first used; close it.
func (e Endpoint) Client() (*clientv3.Client, error) {
	settings, err := e.TLS()
	if err != nil {
		return nil, err
	}
	return clientv3.New(clientv3.Config{Endpoints: e.URLs, TLS: settings, DialTimeout: dialPatience,
		DialKeepAliveTime: alive, DialKeepAliveTimeout: dead, Logger: zap.NewNop()})
}
