package config

import (
	"net/netip"
	"path/filepath"
	"strings"
)

// Tags of a setting: key (its name in flags and files), short (one-letter flag), env (variable, derived from the key
// when absent; "-" for a flag only), def (default), oneof (allowed words), as (what the help calls its value), sep:"none" (a list whose
// entries may hold commas), help. A field of type Secret is never printed.

// Place says where Skerry keeps its things; commands that must work beside a broken config take only this.
type Place struct {
	ConfigFile string `key:"config" short:"c" env:"SKERRY_CONFIG_FILE" def:"/etc/skerry/config.yaml" as:"path" help:"config file; files in PATH.d/*.yaml are read after it, in alphabetical order"`
	DataDir    string `key:"data-dir" short:"d" def:"/var/lib/skerry" as:"path" help:"directory of everything Skerry keeps"`
}

// Node holds the settings that every node has, server or agent.
type Node struct {
	Place

	Debug     bool   `key:"debug" help:"log details"`
	Token     Secret `key:"token" short:"t" as:"token" help:"shared secret that nodes join with"`
	TokenFile string `key:"token-file" as:"path" help:"file that holds the token"`

	NodeName       string       `key:"node-name" as:"name" help:"name of this node (default: the one it has joined under, at first the host name in lower case)"`
	NodeIP         []netip.Addr `key:"node-ip" as:"address" help:"addresses of this node, at most one IPv4 and one IPv6 (default: those of the default routes, of the families that the cluster has)"`
	NodeExternalIP []netip.Addr `key:"node-external-ip" as:"address" help:"addresses that this node is reached by from outside, at most one IPv4 and one IPv6"`
	FlannelIface   string       `key:"flannel-iface" as:"name" help:"network interface that reaches other nodes (default: that of node-ip)"`

	NodeLabel []string `key:"node-label" as:"key=value" help:"labels of the node, set at each start"`
	NodeTaint []string `key:"node-taint" as:"key=value:effect" help:"taints of the node, set at each start"`

	BindAddress  netip.Addr `key:"bind-address" def:"0.0.0.0" as:"address" help:"address to listen on"`
	ClockFloor   string     `key:"clock-floor" def:"set" oneof:"set,keep" as:"word" help:"what to do at the start when this machine's clock stands before the last time that the node knew, as a board's without a battery does: set it forward to that, or keep it as it is"`
	LBServerPort int        `key:"lb-server-port" def:"6444" as:"port" help:"loopback port of the node's own API endpoint"`
	ResolvConf   string     `key:"resolv-conf" as:"path" help:"resolv.conf that pods get (default: found on the host)"`

	DefaultLocalStoragePath string `key:"default-local-storage-path" as:"path" help:"directory of this node's volumes of the StorageClass local-path (default: storage in the data directory)"`

	ContainerRuntimeEndpoint string `key:"container-runtime-endpoint" as:"path" help:"socket of a container runtime to use instead of the one inside"`
	DefaultRuntime           string `key:"default-runtime" as:"name" help:"runtime of pods that name no RuntimeClass (default: runc)"`
	PauseImage               string `key:"pause-image" def:"localhost/skerry/pause:1" as:"image" help:"image of the container that holds a pod together"`
	Snapshotter              string `key:"snapshotter" def:"overlayfs" oneof:"overlayfs,native" as:"name" help:"how image layers are put together"`
	PrivateRegistry          string `key:"private-registry" def:"/etc/skerry/registries.yaml" as:"path" help:"file of registry mirrors and credentials"`
	ProtectKernelDefaults    bool   `key:"protect-kernel-defaults" help:"fail when kernel settings are not what the kubelet wants, instead of changing them"`

	KubeletArg   []string `key:"kubelet-arg" sep:"none" as:"flag=value" help:"extra flags of the kubelet"`
	KubeProxyArg []string `key:"kube-proxy-arg" sep:"none" as:"flag=value" help:"extra flags of kube-proxy"`
}

// StorageDir is where this node keeps its volumes: the configured directory, or the one in the data directory.
func (n Node) StorageDir() string {
	if n.DefaultLocalStoragePath != "" {
		return filepath.Clean(n.DefaultLocalStoragePath)
	}
	return n.Paths().StorageDir()
}

// RuntimeEndpoint is the CRI socket as a URL: the configured one, or that of the runtime inside.
func (n Node) RuntimeEndpoint() string { return runtimeEndpoint(n.ContainerRuntimeEndpoint) }

func runtimeEndpoint(endpoint string) string {
	if endpoint == "" {
		endpoint = DefaultContainerdSocket
	}
	if strings.HasPrefix(endpoint, "/") {
		return "unix://" + endpoint
	}
	return endpoint
}
