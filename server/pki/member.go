package pki

import (
	"log/slog"
	"net/netip"

	"github.com/skerry-io/skerry/internal/certs"
)

// memberAuthority signs members of etcd. What it has signed may read and write all that the cluster keeps.
const memberAuthority = "etcd-ca"

// OpenMember adds what a member of etcd needs: the authority, and a certificate for its addresses by which members know each other.
// Only clusters of several servers have it.
func (p *PKI) OpenMember(name string, ips []netip.Addr, log *slog.Logger) error {
	var err error
	if p.MemberCA, err = p.authority(memberAuthority, log); err != nil {
		return err
	}
	p.Member = p.pair("etcd-member")
	loopback := []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1")}
	own := leaf{p.Member, p.MemberCA, certs.Subject{Name: "etcd:" + name, DNS: []string{"localhost", name}, IPs: append(loopback, ips...), Server: true, Client: true}}
	p.leaves = append(p.leaves, own)
	_, err = own.issue(log)
	return err
}
