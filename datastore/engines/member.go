package engines

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.uber.org/zap"

	"github.com/skerry-io/skerry/datastore/etcd"
	"github.com/skerry-io/skerry/internal/fault"
)

const (
	// memberFolder is where a member lies in the directory of engines, see config.Paths.EtcdDir.
	memberFolder = "etcd"
	// majority is how long a member may take to answer that was started alone.
	majority = 20 * time.Second
)

func (e Engine) member() etcd.Config {
	return etcd.Config{Dir: filepath.Join(e.Dir, memberFolder), Name: e.Name, Address: e.Address, Log: e.Log}
}

// openMember starts the member of this server where nobody else reaches it: on the loopback, with a certificate that is gone
// afterwards. So it answers when it is the only one of its cluster.
func (e Engine) openMember(ctx context.Context) (*Opened, error) {
	if !etcd.Exists(filepath.Join(e.Dir, memberFolder)) {
		return nil, fault.New("there is no etcd member in %s", filepath.Join(e.Dir, memberFolder)).Fix("run the command on a server that has one")
	}
	dir, err := os.MkdirTemp("", "skerry-")
	if err != nil {
		return nil, err
	}
	clear := func() error { return os.RemoveAll(dir) }
	c, err := e.alone(dir)
	if err != nil {
		return nil, errors.Join(err, clear())
	}
	m, err := etcd.Start(ctx, c)
	if err != nil {
		return nil, errors.Join(err, clear())
	}
	o, err := connected(m.Endpoint(), func() error { return errors.Join(m.Close(), clear()) })
	if err != nil {
		return nil, err
	}
	asked, stop := context.WithTimeout(ctx, majority)
	defer stop()
	if _, err := o.Client.Get(asked, "/registry/health"); err != nil {
		return nil, errors.Join(fault.New("the etcd member on this machine does not answer alone").Because(err).
			Fix("while other servers run, ask one of them; when they are lost, start this one with cluster-reset first"), o.Close())
	}
	return o, nil
}

// alone is the member's configuration for that time.
func (e Engine) alone(dir string) (etcd.Config, error) {
	c := e.member()
	c.AsItIs = true
	c.Address, c.Socket = netip.MustParseAddr("127.0.0.1"), filepath.Join(dir, "s")
	made, err := transport.SelfCert(zap.NewNop(), dir, []string{c.Address.String()}, 1, x509.ExtKeyUsageClientAuth)
	if err != nil {
		return c, err
	}
	c.Peer = etcd.Certificates{CAFile: made.CertFile, CertFile: made.CertFile, KeyFile: made.KeyFile}
	c.Client = c.Peer
	for _, port := range []*uint16{&c.Tuning.Peer, &c.Tuning.Client} {
		if *port, err = freePort(); err != nil {
			return c, err
		}
	}
	return c, nil
}

func freePort() (uint16, error) {
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return 0, err
	}
	return uint16(l.Addr().(*net.TCPAddr).Port), l.Close()
}
