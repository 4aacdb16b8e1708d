package wire

import (
	"net/netip"
	"time"
)

// The supervisor's routes, on the API port beside Kubernetes' own.
const (
	PathPrefix  = "/v1-skerry/"
	PathPing    = PathPrefix + "ping"    // GET, open to all: "pong"
	PathCACerts = PathPrefix + "cacerts" // GET, open to all: the server's CA in PEM form
	PathReady   = PathPrefix + "readyz"  // GET, open to all: 200 when the API server is ready; ?verbose, an administrator: every service
	PathJoin    = PathPrefix + "join"    // POST, needs a token: Join gives Joined
	PathEnter   = PathPrefix + "enter"   // POST, needs the server token: ServerEnter gives ServerEntered
	// The rest needs a client certificate of the cluster.
	PathCertificates = PathPrefix + "certificates" // POST, a node, also one whose certificate is over: Join gives Joined, for the key it has joined with
	PathConfig       = PathPrefix + "config"       // GET, a node: Cluster
	PathServers      = PathPrefix + "servers"      // GET, a node: Servers
	PathConnect      = PathPrefix + "connect"      // GET, a node: the tunnel's websocket
	PathVolumes      = PathPrefix + "volumes"      // GET, a node: VolumeOrders, one after the other; POST, a node: VolumeReport gives VolumeAnswer
	PathPodRights    = PathPrefix + "pod-rights"   // GET, a node: PodRights, one after the other, but for the one of ?have=
	PathMembers      = PathPrefix + "members"      // DELETE, an administrator: takes the server ?name= out of the datastore's cluster
	PathMetrics      = PathPrefix + "metrics"      // GET, an administrator: how the process is, in Prometheus' text form
	PathToken        = PathPrefix + "token"        // PUT, an administrator: TokenChange replaces the server's token
	// How Secrets are stored.
	PathSecrets       = PathPrefix + "secrets-encryption" // GET, an administrator: SecretsStatus; POST: SecretsProgress, one after the other
	PathSecretsLoaded = PathSecrets + "/loaded"           // GET, an administrator: SecretsLoaded, soon after that is the one of ?hash=
)

// JoinUser is the user name in the basic authentication of a request that carries a token's secret.
const JoinUser = "node"

// Join is a node's request for its certificates. All of them are for the one key that the node made and keeps.
type Join struct {
	Name      string       `json:"name"`
	Addresses []netip.Addr `json:"addresses"`
	PublicKey []byte       `json:"publicKey"` // PKIX, DER
}

// Joined is the answer: certificates in PEM form, and what the whole cluster has in common.
type Joined struct {
	ServerCA      string `json:"serverCA"`
	ClientCA      string `json:"clientCA"`
	Kubelet       string `json:"kubelet"`        // client certificate of the node
	KubeletServer string `json:"kubeletServing"` // serving certificate of the node
	KubeProxy     string `json:"kubeProxy"`      // client certificate of kube-proxy
	Cluster
}

// Cluster is what all nodes of a cluster have in common.
type Cluster struct {
	ClusterCIDR   []netip.Prefix `json:"clusterCIDR"`
	ServiceCIDR   []netip.Prefix `json:"serviceCIDR"`
	ClusterDNS    []netip.Addr   `json:"clusterDNS"`
	ClusterDomain string         `json:"clusterDomain"`
	KubeProxyOff  bool           `json:"kubeProxyOff,omitempty"`
	Backend       string         `json:"backend"`            // how pods of different nodes reach each other: vxlan, host-gw, wireguard-native, none
	ExternalIP    bool           `json:"externalIP"`         // nodes reach each other by their external addresses
	Disabled      []string       `json:"disabled,omitempty"` // components that the cluster does without
	Tunnel        string         `json:"egressSelectorMode"` // what the API server reaches through the tunnel: agent, cluster, pod, disabled
	// CertificateLife is how long a node's certificates are good that it gets now; a year when it is zero.
	CertificateLife time.Duration `json:"certificateLife,omitempty"`
}

// Servers are the URLs by which a node can reach the servers of its cluster.
type Servers struct {
	URLs []string `json:"urls"`
}

// ServerEnter is the request of a machine that wants to be a further server.
type ServerEnter struct {
	Name    string  `json:"name"`
	Was     string  `json:"was,omitempty"` // the id of the datastore's member that it has been
	Cluster Cluster `json:"cluster"`       // by its settings, which have to be those of the other servers
}

// ServerEntered is the answer: everything that makes a machine a server of the cluster.
type ServerEntered struct {
	Files   map[string][]byte `json:"files"`   // that all servers share, by their paths below the server directory
	Members []string          `json:"members"` // URLs for clients of etcd's members
}

// TokenChange asks a server for another token.
type TokenChange struct {
	Secret string `json:"secret"`
}
