package config

import "path/filepath"

// Places that do not move with the data directory.
const (
	// DefaultDataDir is where state lives when data-dir is not set.
	DefaultDataDir = "/var/lib/skerry"
	// EtcDir holds what an operator writes.
	EtcDir = "/etc/skerry"
	// DefaultConfigFile is the config file when none is named.
	DefaultConfigFile = EtcDir + "/config.yaml"
	// DefaultKubeconfig is the administrator's kubeconfig.
	DefaultKubeconfig = EtcDir + "/skerry.yaml"
	// RunDir holds sockets and other things that a reboot clears.
	RunDir = "/run/skerry"
	// DefaultContainerdSocket is where the runtime inside listens.
	DefaultContainerdSocket = RunDir + "/containerd/containerd.sock"
	// ClockGuess is there while the time is the last known one, and nobody has told the right one.
	ClockGuess = RunDir + "/clock-guessed"
	// StatusSocket is where the process tells how it is.
	StatusSocket = RunDir + "/status.sock"
	// ConfigDropInSuffix makes the drop-in directory out of the config file's name.
	ConfigDropInSuffix = ".d"
)

// Paths derives every path from the data directory.
type Paths struct {
	dataDir string
}

// Paths gives the paths of this node.
func (p Place) Paths() Paths { return Paths{dataDir: filepath.Clean(p.DataDir)} }

// DataDir is the root of all state.
func (p Paths) DataDir() string { return p.dataDir }

// ServerDir holds what a server keeps.
func (p Paths) ServerDir() string { return filepath.Join(p.dataDir, "server") }

// TLSDir holds the server's authorities, certificates and keys.
func (p Paths) TLSDir() string { return filepath.Join(p.ServerDir(), "tls") }

// CredDir holds the kubeconfigs of the server's own components.
func (p Paths) CredDir() string { return filepath.Join(p.ServerDir(), "cred") }

// DBDir holds the datastore.
func (p Paths) DBDir() string { return filepath.Join(p.ServerDir(), "db") }

// EtcdDir holds the datastore of a cluster of several servers, as far as it lies here.
func (p Paths) EtcdDir() string { return filepath.Join(p.DBDir(), "etcd") }

// TokenFile holds the token that nodes join with.
func (p Paths) TokenFile() string { return filepath.Join(p.ServerDir(), "token") }

// AgentTokenFile holds the token that agents join with, where it is not the server's.
func (p Paths) AgentTokenFile() string { return filepath.Join(p.ServerDir(), "agent-token") }

// EncryptionFile holds the keys that Secrets are stored under, in the API server's own format.
func (p Paths) EncryptionFile() string { return filepath.Join(p.CredDir(), "encryption-config.json") }

// CommonFile holds the settings of the last start that the cluster counts on, wherever they came from.
func (p Paths) CommonFile() string { return filepath.Join(p.ServerDir(), commonName) }

// Shared are the files that all servers of a cluster have in common, by their paths below ServerDir: what the cluster is known
// by, and what its datastore can be read with. Those that a cluster does without do not exist.
func (p Paths) Shared() []string {
	return []string{
		"tls/server-ca.crt", "tls/server-ca.key",
		"tls/client-ca.crt", "tls/client-ca.key",
		"tls/request-header-ca.crt", "tls/request-header-ca.key",
		"tls/etcd-ca.crt", "tls/etcd-ca.key",
		"tls/service.key",
		"cred/encryption-config.json",
		"token", "agent-token",
	}
}

// ManifestsDir holds manifests that the server applies.
func (p Paths) ManifestsDir() string { return filepath.Join(p.ServerDir(), "manifests") }

// StaticDir holds charts that HelmCharts name by a path.
func (p Paths) StaticDir() string { return filepath.Join(p.ServerDir(), "static") }

// AgentDir holds what a node keeps.
func (p Paths) AgentDir() string { return filepath.Join(p.dataDir, "agent") }

// AgentEtcDir holds the generated configuration of the node's components.
func (p Paths) AgentEtcDir() string { return filepath.Join(p.AgentDir(), "etc") }

// ImagesDir holds image archives that are imported at start and when they appear.
func (p Paths) ImagesDir() string { return filepath.Join(p.AgentDir(), "images") }

// ImportedFile remembers which images came from archives and from programs of our own.
func (p Paths) ImportedFile() string { return filepath.Join(p.AgentDir(), "imported.json") }

// PodManifestsDir holds the manifests of static pods.
func (p Paths) PodManifestsDir() string { return filepath.Join(p.AgentDir(), "pod-manifests") }

// KubeletRoot is the kubelet's own directory. With the default data directory it is the upstream one, because
// storage drivers made for Kubernetes look there.
func (p Paths) KubeletRoot() string {
	if p.dataDir == DefaultDataDir {
		return "/var/lib/kubelet"
	}
	return filepath.Join(p.dataDir, "kubelet")
}

// ContainerdRoot holds images and snapshots.
func (p Paths) ContainerdRoot() string { return filepath.Join(p.AgentDir(), "containerd") }

// ContainerdState holds what containerd forgets at a reboot.
func (p Paths) ContainerdState() string { return filepath.Dir(DefaultContainerdSocket) }

// ContainerdSocket is where the runtime inside listens.
func (p Paths) ContainerdSocket() string { return DefaultContainerdSocket }

// LastRun holds how the last run of a node ended, or that it has not.
func (p Paths) LastRun() string { return filepath.Join(p.dataDir, "last-run.json") }

// ClockNote is the file whose time is the last one that the node knew.
func (p Paths) ClockNote() string { return filepath.Join(p.AgentDir(), "clock") }

// Written are files, and directories of files, that are written while a node works.
func (p Paths) Written() []string {
	return []string{p.Ledger(), p.LastRun(), filepath.Join(p.AgentDir(), "cache"), p.DBDir()}
}

// Ledger lists every change made to the host.
func (p Paths) Ledger() string { return filepath.Join(p.dataDir, "ledger.jsonl") }

// UnpackDir holds the helper programs that come out of the binary, one directory per content hash.
func (p Paths) UnpackDir() string { return filepath.Join(p.dataDir, "data") }

// StorageDir holds the volumes of the local-path StorageClass.
func (p Paths) StorageDir() string { return filepath.Join(p.dataDir, "storage") }
