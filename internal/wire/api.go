package wire

import "net/netip"

// The supervisor's routes, on the API port beside Kubernetes' own.
const (
	PathPrefix  = "/v1-skerry/"
	PathPing    = PathPrefix + "ping"    // GET, open to all: "pong"
	PathCACerts = PathPrefix + "cacerts" // GET, open to all: the server's CA in PEM form
	PathReady   = PathPrefix + "readyz"  // GET, open to all: 200 when the API server is ready; ?verbose, an administrator: every service
	PathJoin    = PathPrefix + "join"    // POST, needs a token: Join gives Joined
	// The rest needs a client certificate of the cluster.
	PathCertificates = PathPrefix + "certificates" // POST, a node: Join gives Joined, for the key it has joined with
	PathConfig       = PathPrefix + "config"       // GET, a node: Cluster
	PathServers      = PathPrefix + "servers"      // GET, a node: Servers
	PathConnect      = PathPrefix + "connect"      // GET, a node: the tunnel's websocket
	PathVolumes      = PathPrefix + "volumes"      // GET, a node: VolumeOrders, one after the other; POST, a node: VolumeReport gives VolumeAnswer
	PathMetrics      = PathPrefix + "metrics"      // GET, an administrator: how the process is, in Prometheus' text form
	PathToken        = PathPrefix + "token"        // PUT, an administrator: TokenChange replaces the server's token
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
}

// Servers are the URLs by which a node can reach the servers of its cluster.
type Servers struct {
	URLs []string `json:"urls"`
}

// TokenChange asks a server for another token.
type TokenChange struct {
	Secret string `json:"secret"`
}
