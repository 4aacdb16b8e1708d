package server

import (
	"context"
	"crypto/tls"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"k8s.io/client-go/tools/cache"

	"github.com/skerry-io/skerry/datastore"
	"github.com/skerry-io/skerry/datastore/etcd"
	"github.com/skerry-io/skerry/internal/config"
	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/kubeconfig"
	"github.com/skerry-io/skerry/internal/status"
	"github.com/skerry-io/skerry/internal/traffic"
	"github.com/skerry-io/skerry/internal/wire"
	"github.com/skerry-io/skerry/server/autonomy"
	"github.com/skerry-io/skerry/server/egress"
	"github.com/skerry-io/skerry/server/hold"
	"github.com/skerry-io/skerry/server/leading"
	"github.com/skerry-io/skerry/server/manifests"
	"github.com/skerry-io/skerry/server/metrics"
	"github.com/skerry-io/skerry/server/pki"
	"github.com/skerry-io/skerry/server/podrights"
	"github.com/skerry-io/skerry/server/secrets"
	"github.com/skerry-io/skerry/server/shared"
	"github.com/skerry-io/skerry/server/token"
	"github.com/skerry-io/skerry/tunnel"
)

// Server is a control plane that is ready to run.
type Server struct {
	config    config.Server
	paths     config.Paths
	advertise netip.Addr
	address   netip.Addr // of this server's member of etcd
	pki       *pki.PKI
	tokens    *token.Store
	shared    *shared.Keeper // nil, as lead, where there is one server
	lead      *leading.Lead
	secrets   *secrets.Secrets
	serving   atomic.Pointer[tls.Certificate]
	log       *slog.Logger

	report func() status.Report // how the whole process is

	inEtcd  bool                        // the datastore is etcd inside the servers
	members []string                    // of it, where this server is going to join them
	running atomic.Pointer[etcd.Member] // this server's; nil while there is none

	tunnels *tunnel.Server // nil, as egress, where the API server reaches everything by itself
	egress  *egress.Dialer

	manifests *manifests.Keeper // nil when disabled
	metrics   *metrics.Metrics  // nil when disabled
	autonomy  *autonomy.Autonomy
	hold      *hold.Hold
	rights    *podrights.Rights
	told      told
	measured  atomic.Pointer[datastore.Measured]          // what the datastore knows of itself, while it is one that serves here
	refresh   atomic.Pointer[func(context.Context) error] // makes a snapshot of now and removes those before; nil where there are none
	nodes     cache.SharedIndexInformer                   // of all Nodes, as the API server watches them for itself; set before it is ready

	stepped   <-chan struct{} // see Clock
	assembled chan struct{}   // closed by built, when every controller is
	built     func()
}

// New opens or makes what a server keeps: authorities, certificates, token, kubeconfigs; a further server gets what all share from another
// one, for which it waits until ctx ends. nodeIPs are this machine's, report tells administrators how the process is.
func New(ctx context.Context, c config.Server, nodeIPs []netip.Addr, report func() status.Report, log *slog.Logger) (*Server, error) {
	s := &Server{config: c, paths: c.Paths(), advertise: advertised(c, nodeIPs), log: log, report: report, assembled: make(chan struct{})}
	s.built = sync.OnceFunc(func() { close(s.assembled) })
	s.address = memberAddress(s.advertise, nodeIPs)
	err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	if s.inEtcd || s.elsewhere() {
		s.agree()
	}
	open := func() error { return s.open(nodeIPs) }
	if err = s.meet(ctx, open); err != nil {
		return nil, err
	}
	if err = open(); err != nil {
		return nil, err
	}
	if err = s.loadServing(); err != nil {
		return nil, err
	}
	if mode := egress.Mode(c.EgressSelectorMode); mode != egress.Disabled {
		if s.tunnels, err = tunnel.NewServer(s.ownNode(), s.heartbeats().Hear, log); err != nil {
			return nil, err
		}
		s.egress = egress.New(mode, s.ownNode(), s.tunnels)
		net.DefaultResolver = s.egress.Resolver() // nothing of this process runs yet that could look up a name
	}
	if !s.without("manifests") {
		s.manifests = manifests.New(manifests.Config{Dir: s.paths.ManifestsDir(), Server: c.NodeName, Log: log})
	}
	s.metrics = s.newMetrics()
	s.autonomy, s.hold, s.rights = autonomy.New(log), hold.New(log), podrights.New()
	if err = s.keepSettings(); err != nil {
		return nil, err
	}
	return s, s.writeKubeconfigs()
}

// open reads or makes what the cluster is known by.
func (s *Server) open(nodeIPs []netip.Addr) (err error) {
	if s.pki, err = pki.Open(s.paths.TLSDir(), s.names(nodeIPs), s.log); err != nil {
		return err
	}
	if s.inEtcd {
		if err := s.pki.OpenMember(s.config.NodeName, nodeIPs, s.log); err != nil {
			return err
		}
	}
	s.pki.NodeLife = s.config.NodeCertificateLifetime
	if s.tokens, err = token.Open(s.tokenConfig(), s.pki.ServerCA.Certificate, s.log); err != nil {
		return err
	}
	return s.openSecrets()
}

// ownNode is the name of the node in this process, empty when there is none.
func (s *Server) ownNode() string {
	if s.config.DisableAgent {
		return ""
	}
	return s.config.NodeName
}

// Traffic is what the tunnels of each node have carried since the process began.
func (s *Server) Traffic() []traffic.Link {
	if s.tunnels == nil {
		return nil
	}
	return s.tunnels.Traffic()
}

// Clock has the server hear when this machine's clock was set: certificates may be over by the other time. It is called before
// Services.
func (s *Server) Clock(stepped <-chan struct{}) { s.stepped = stepped }

// URL is where clients on this machine reach the server.
func (s *Server) URL() string {
	return "https://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(s.config.HTTPSListenPort))
}

// Token lets the node of this process join.
func (s *Server) Token() (wire.Token, error) { return s.tokens.Server(), nil }

// Controllers closes when every controller is built: from then on none of them sets Kubernetes' package variables.
func (s *Server) Controllers() <-chan struct{} { return s.assembled }

// names are what the serving certificate is good for.
func (s *Server) names(nodeIPs []netip.Addr) pki.Names {
	dns, ips := wire.Cluster{ClusterDomain: s.config.ClusterDomain, ServiceCIDR: s.config.ServiceCIDR}.APINames()
	n := pki.Names{
		DNS: append(dns, "localhost", s.config.NodeName),
		IPs: append([]netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1")}, ips...),
	}
	n.IPs = append(append(n.IPs, nodeIPs...), s.advertise)
	for _, san := range s.config.TLSSAN {
		if ip, err := netip.ParseAddr(san); err == nil {
			n.IPs = append(n.IPs, ip)
		} else {
			n.DNS = append(n.DNS, san)
		}
	}
	n.DNS, n.IPs = unique(n.DNS), unique(n.IPs)
	return n
}

func unique[T comparable](list []T) []T {
	seen := map[T]bool{}
	var out []T
	for _, item := range list {
		if !seen[item] {
			seen[item] = true
			out = append(out, item)
		}
	}
	return out
}

// credential is the kubeconfig of one of the server's own components.
func (s *Server) credential(component string) string {
	return filepath.Join(s.paths.CredDir(), component+".kubeconfig")
}

func (s *Server) writeKubeconfigs() error {
	write := func(path string, mode fs.FileMode, pair certPair, inline bool) error {
		return kubeconfig.File{Server: s.URL(), CAFile: s.pki.Authority("server-ca").CertFile(), CertFile: pair.CertFile(),
			KeyFile: pair.KeyFile(), Inline: inline}.Write(path, mode)
	}
	if err := write(s.credential("controllers"), 0o600, s.pki.ControllerManager, false); err != nil {
		return err
	}
	if err := write(s.credential("scheduler"), 0o600, s.pki.Scheduler, false); err != nil {
		return err
	}
	admin := s.config.WriteKubeconfig
	if err := write(admin, fs.FileMode(s.config.WriteKubeconfigMode), s.pki.Admin, true); err != nil {
		return fault.New("write the administrator's kubeconfig").Because(err).Fix("make its directory writable, or set write-kubeconfig")
	}
	return giveTo(admin, s.config.WriteKubeconfigGroup)
}

// certPair is a certificate and its key on disk.
type certPair interface {
	CertFile() string
	KeyFile() string
}

// giveTo lets a group own a file; it is given by name or number.
func giveTo(path, group string) error {
	if group == "" {
		return nil
	}
	number := strings.TrimSpace(group)
	if found, err := user.LookupGroup(group); err == nil {
		number = found.Gid
	}
	gid, err := strconv.Atoi(number)
	if err != nil {
		return fault.New("give %s to the group %q", path, group).Because(err).Fix("set write-kubeconfig-group to a group of this host")
	}
	return os.Chown(path, -1, gid)
}
