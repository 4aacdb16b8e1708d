package config

import (
	"net/netip"
	"time"
)

// Server holds the settings of `skerry server`.
type Server struct {
	Node

	HTTPSListenPort      int            `key:"https-listen-port" def:"6443" as:"port" help:"port of the Kubernetes and supervisor API"`
	AdvertiseAddress     netip.Addr     `key:"advertise-address" as:"address" help:"address other nodes and pods reach the API server by (default: the first node-ip)"`
	TLSSAN               []string       `key:"tls-san" as:"name or address" help:"further names and addresses in the server certificate"`
	ClusterCIDR          []netip.Prefix `key:"cluster-cidr" def:"10.42.0.0/16" as:"CIDR" help:"addresses of pods, at most one IPv4 and one IPv6 range"`
	ServiceCIDR          []netip.Prefix `key:"service-cidr" def:"10.43.0.0/16" as:"CIDR" help:"addresses of services, at most one IPv4 and one IPv6 range"`
	ServiceNodePortRange PortRange      `key:"service-node-port-range" def:"30000-32767" as:"first-last" help:"ports of services of type NodePort"`
	ClusterDNS           []netip.Addr   `key:"cluster-dns" as:"address" help:"address of the cluster's DNS service (default: the tenth address of service-cidr, 10.43.0.10)"`
	ClusterDomain        string         `key:"cluster-domain" def:"cluster.local" as:"name" help:"DNS domain of the cluster"`

	DatastoreCommitInterval    time.Duration `key:"datastore-commit-interval" def:"0s" as:"duration" help:"how long an answered write may wait for the disk, so that fewer are written; a crash or a power cut loses writes this recent (default: none, a write is answered when the disk has it)"`
	DatastoreSnapshotInterval  time.Duration `key:"datastore-snapshot-interval" def:"12h" as:"duration" help:"how often a copy of the datastore is kept beside it, for the day on which it is damaged; only when something changed, never with 0s"`
	DatastoreSnapshotRetention int           `key:"datastore-snapshot-retention" def:"5" as:"number" help:"how many of these copies are kept"`

	AgentToken         Secret `key:"agent-token" as:"token" help:"secret that agents join with, apart from the servers' own (default: token)"`
	AgentTokenFile     string `key:"agent-token-file" as:"path" help:"file that holds the agents' token"`
	EgressSelectorMode string `key:"egress-selector-mode" def:"agent" oneof:"agent,cluster,pod,disabled" as:"mode" help:"what the API server reaches through the agents' tunnels: kubelets (agent), also pods by their node's range (pod), also pods by their addresses (cluster), nothing (disabled)"`
	FlannelBackend     string `key:"flannel-backend" def:"vxlan" oneof:"vxlan,host-gw,wireguard-native,none" as:"name" help:"how pods of different nodes reach each other; none leaves it to a network of your own"`
	FlannelExternalIP  bool   `key:"flannel-external-ip" help:"let nodes reach each other by their external addresses"`

	ServiceLBPool []AddressRange `key:"servicelb-pool" as:"CIDR or first-last" help:"addresses of which each Service of type LoadBalancer gets one of its own, announced by one node (default: Services get the addresses of nodes)"`

	WriteKubeconfig      string   `key:"write-kubeconfig" short:"o" env:"SKERRY_KUBECONFIG_OUTPUT" def:"/etc/skerry/skerry.yaml" as:"path" help:"where the administrator's kubeconfig is written"`
	WriteKubeconfigMode  FileMode `key:"write-kubeconfig-mode" env:"SKERRY_KUBECONFIG_MODE" def:"0600" as:"mode" help:"mode of that kubeconfig"`
	WriteKubeconfigGroup string   `key:"write-kubeconfig-group" env:"SKERRY_KUBECONFIG_GROUP" as:"group" help:"group of that kubeconfig"`

	Disable          []string `key:"disable" oneof:"dns,helm,manifests,storage,metrics,servicelb,network-policy" as:"name" help:"components to do without"`
	DisableAgent     bool     `key:"disable-agent" help:"be a control plane only: run no pods here"`
	DisableKubeProxy bool     `key:"disable-kube-proxy" help:"run no kube-proxy, because something else serves Services"`

	KubeAPIServerArg         []string `key:"kube-apiserver-arg" sep:"none" as:"flag=value" help:"extra flags of kube-apiserver"`
	KubeControllerManagerArg []string `key:"kube-controller-manager-arg" sep:"none" as:"flag=value" help:"extra flags of kube-controller-manager"`
	KubeSchedulerArg         []string `key:"kube-scheduler-arg" sep:"none" as:"flag=value" help:"extra flags of kube-scheduler"`
}
