package testdb

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// Etcd starts a cluster of one member that asks clients for a certificate of its authority, such as Cert and Key. Its own is for
// 127.0.0.1 and the addresses at which it is reached.
func Etcd(t testing.TB, at ...netip.Addr) *Server {
	t.Helper()
	s := &Server{t: t, at: at, dir: folder(t), program: program(t, "etcd", "/usr/bin/etcd", "etcd-server"), Port: freePort(t)}
	s.certificates()
	peer := fmt.Sprintf("http://127.0.0.1:%d", freePort(t))
	s.args = []string{s.flag("name", "outside"), s.flag("data-dir", filepath.Join(s.dir, "data")), s.flag("listen-client-urls", s.EtcdURL()),
		s.flag("advertise-client-urls", s.EtcdURL()), s.flag("listen-peer-urls", peer), s.flag("initial-advertise-peer-urls", peer),
		s.flag("initial-cluster", "outside="+peer), "--client-cert-auth", s.flag("trusted-ca-file", s.CA), s.flag("cert-file", s.Cert), s.flag("key-file", s.Key)}
	s.answers = func(ctx context.Context) error {
		settings, err := transport.TLSInfo{TrustedCAFile: s.CA, CertFile: s.Cert, KeyFile: s.Key}.ClientConfig()
		if err != nil {
			return err
		}
		c, err := clientv3.New(clientv3.Config{Endpoints: []string{s.EtcdURL()}, TLS: settings, DialTimeout: time.Second, Logger: zap.NewNop()})
		if err != nil {
			return err
		}
		defer c.Close()
		ctx, stop := context.WithTimeout(ctx, time.Second)
		defer stop()
		_, err = c.Get(ctx, "a")
		return err
	}
	s.begin()
	return s
}

// EtcdURL is the datastore-endpoint of the cluster.
func (s *Server) EtcdURL() string { return fmt.Sprintf("https://127.0.0.1:%d", s.Port) }
