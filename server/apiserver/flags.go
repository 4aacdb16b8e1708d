package apiserver

import (
	"context"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/value"
	"k8s.io/client-go/informers"

	"github.com/skerry-io/skerry/datastore"
	"github.com/skerry-io/skerry/internal/component"
	"github.com/skerry-io/skerry/internal/wire"
	"github.com/skerry-io/skerry/server/pki"
)

// Config is what the API server needs to know.
type Config struct {
	Port          int        // where clients reach it, through the supervisor's listener
	Advertise     netip.Addr // the address other nodes and pods are told
	Datastore     datastore.Endpoint
	Alone         bool // no other server uses the datastore
	ServiceCIDR   []netip.Prefix
	NodePorts     string // "first-last"
	ClusterDomain string
	Extra         []string // the user's flags

	// Dial makes the connections to kubelets, pods, webhooks and extension API servers; nil leaves them to the network.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// DialPods says that Dial reaches pods where the network does not, so that Services are left aside.
	DialPods bool

	// Secrets is told where Secrets are stored, and gives what they are written and read with there; nil stores them plain. It is
	// not asked when Extra names a file of its own for that.
	Secrets func(storage storagebackend.Config, prefix string) value.Transformer

	// Extend adds API groups of other rooms before the API server starts; known holds what it keeps of objects for itself.
	// Nil adds none.
	Extend func(server *genericapiserver.GenericAPIServer, known informers.SharedInformerFactory) error
	// Vouch is told before that which tokens of ServiceAccounts are good for the API.
	Vouch func(wire.AccountTokens)
	// Admission are the plugins of other rooms.
	Admission []Plugin
	// ExtendKinds are the kinds of these groups, for their description; nil without some.
	ExtendKinds *runtime.Scheme
}

// addressTypes are the addresses of a node to call its kubelet by, best first. Dial knows nodes by name; by address two
// of them can be the same behind different routers.
func (c Config) addressTypes() string {
	if c.Dial != nil {
		return "Hostname,InternalIP,ExternalIP"
	}
	return "InternalIP,ExternalIP,Hostname"
}

// flags are the command line of kube-apiserver.
func flags(c Config, p *pki.PKI) component.Flags {
	issuer := "https://kubernetes.default.svc." + c.ClusterDomain
	return component.Flags{
		"advertise-address":           c.Advertise.String(),
		"allow-privileged":            "true",
		"anonymous-auth":              "false",
		"api-audiences":               issuer + ",skerry",
		"authorization-mode":          "Node,RBAC",
		"client-ca-file":              p.Authority("client-ca").CertFile(),
		"enable-admission-plugins":    "NodeRestriction",
		"enable-aggregator-routing":   strconv.FormatBool(c.DialPods),
		"enable-bootstrap-token-auth": "true",
		// One gate for all of this process: clients that stream their first list wait for a progress report of the
		// datastore, up to a second each; a plain list comes from the cache at once.
		"feature-gates":                      "WatchListClient=false",
		"etcd-servers":                       strings.Join(c.Datastore.URLs, ","),
		"etcd-cafile":                        c.Datastore.CAFile,
		"etcd-certfile":                      c.Datastore.CertFile,
		"etcd-keyfile":                       c.Datastore.KeyFile,
		"kubelet-certificate-authority":      p.Authority("server-ca").CertFile(),
		"kubelet-client-certificate":         p.KubeletClient.CertFile(),
		"kubelet-client-key":                 p.KubeletClient.KeyFile(),
		"kubelet-preferred-address-types":    c.addressTypes(),
		"profiling":                          "false",
		"proxy-client-cert-file":             p.AuthProxy.CertFile(),
		"proxy-client-key-file":              p.AuthProxy.KeyFile(),
		"requestheader-allowed-names":        "system:auth-proxy",
		"requestheader-client-ca-file":       p.Authority("request-header-ca").CertFile(),
		"requestheader-extra-headers-prefix": "X-Remote-Extra-",
		"requestheader-group-headers":        "X-Remote-Group",
		"requestheader-username-headers":     "X-Remote-User",
		"service-account-issuer":             issuer,
		"service-account-key-file":           p.ServiceAccountKeyFile(),
		"service-account-signing-key-file":   p.ServiceAccountKeyFile(),
		"service-cluster-ip-range":           component.List(c.ServiceCIDR),
		"service-node-port-range":            c.NodePorts,
		"tls-cert-file":                      p.APIServer.CertFile(),
		"tls-private-key-file":               p.APIServer.KeyFile(),
	}.With(c.Extra)
}
