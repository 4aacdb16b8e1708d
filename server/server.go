package server

import (
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

	"github.com/skerry-io/skerry/internal/config"
	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/kubeconfig"
	"github.com/skerry-io/skerry/internal/status"
	"github.com/skerry-io/skerry/internal/wire"
	"github.com/skerry-io/skerry/server/egress"
	"github.com/skerry-io/skerry/server/manifests"
	"github.com/skerry-io/skerry/server/metrics"
	"github.com/skerry-io/skerry/server/pki"
	"github.com/skerry-io/skerry/server/token"
	"github.com/skerry-io/skerry/tunnel"
)

// Server is a control plane that is ready to run.
type Server struct {
	config    config.Server
	paths     config.Paths
	advertise netip.Addr
	pki       *pki.PKI
	tokens    *token.Store
	serving   atomic.Pointer[tls.Certificate]
	log       *slog.Logger

	report func() status.Report // how the whole process is

	tunnels *tunnel.Server // nil, as egress, where the API server reaches everything by itself
	egress  *egress.Dialer

	manifests *manifests.Keeper // nil when disabled
	metrics   *metrics.Metrics  // nil when disabled
	told      told
	nodes     cache.SharedIndexInformer // of all Nodes, as the API server watches them for itself; set before it is ready

	assembled chan struct{} // closed by built, when every controller is
	built     func()
}

// New opens or makes what a server keeps: authorities, certificates, token, kubeconfigs. nodeIPs are this machine's,
// report tells administrators how the process is.
func New(c config.Server, nodeIPs []netip.Addr, report func() status.Report, log *slog.Logger) (*Server, error) {
	s := &Server{config: c, paths: c.Paths(), advertise: advertised(c, nodeIPs), log: log, report: report, assembled: make(chan struct{})}
	s.built = sync.OnceFunc(func() { close(s.assembled) })
	var err error
	if s.pki, err = pki.Open(s.paths.TLSDir(), s.names(nodeIPs), log); err != nil {
		return nil, err
	}
	tokens := token.Config{File: s.paths.TokenFile(), AgentFile: s.paths.AgentTokenFile(), Chosen: c.Token.Reveal(), Agent: c.AgentToken.Reveal()}
	if s.tokens, err = token.Open(tokens, s.pki.ServerCA.Certificate, log); err != nil {
		return nil, err
	}
	if err = s.loadServing(); err != nil {
		return nil, err
	}
	if mode := egress.Mode(c.EgressSelectorMode); mode != egress.Disabled {
		if s.tunnels, err = tunnel.NewServer(s.ownNode(), log); err != nil {
			return nil, err
		}
		s.egress = egress.New(mode, s.ownNode(), s.tunnels)
		net.DefaultResolver = s.egress.Resolver() // nothing of this process runs yet that could look up a name
	}
	if !s.without("manifests") {
		s.manifests = manifests.New(manifests.Config{Dir: s.paths.ManifestsDir(), Server: c.NodeName, Log: log})
	}
	s.metrics = s.newMetrics()
	return s, s.writeKubeconfigs()
}

// ownNode is the name of the node in this process, empty when there is none.
func (s *Server) ownNode() string {
	if s.config.DisableAgent {
		return ""
	}
	return s.config.NodeName
}

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
	n := pki.Names{
		DNS: []string{"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc." + s.config.ClusterDomain,
			"localhost", s.config.NodeName},
		IPs: []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1")},
	}
	for _, cidr := range s.config.ServiceCIDR {
		n.IPs = append(n.IPs, cidr.Masked().Addr().Next()) // the Service "kubernetes" has the first address
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
