package config

import (
	"net/netip"
	"time"
)

// Server holds the settings of `skerry server`.
type Server struct {
	Node
	Common

	ClusterInit  bool   `key:"cluster-init" help:"begin a cluster of several servers: keep the datastore in etcd inside the servers. What this server has in its own datastore is taken along. Once it has begun, the setting changes nothing"`
	Server       string `key:"server" short:"s" env:"SKERRY_URL" as:"URL" help:"a server of the cluster to join as a further server, for example https://10.0.0.1:6443. Once joined, the setting changes nothing"`
	ClusterReset bool   `key:"cluster-reset" env:"-" help:"make a cluster of this server alone out of what it has of the datastore, when most of the other servers are lost for good; then end. It is for one run, and no setting to keep"`

	AdvertiseAddress netip.Addr `key:"advertise-address" as:"address" help:"address other nodes and pods reach the API server by (default: the first node-ip)"`

	DatastoreEndpoint Secret `key:"datastore-endpoint" as:"URL" help:"a datastore that others run, instead of the one inside: https://HOST:2379,... (etcd), postgres://USER:PASSWORD@HOST:5432/DATABASE, or mysql://USER:PASSWORD@tcp(HOST:3306)/DATABASE (also MariaDB)"`
	DatastoreCAFile   string `key:"datastore-cafile" as:"path" help:"authority that the datastore's certificate has to be from"`
	DatastoreCertFile string `key:"datastore-certfile" as:"path" help:"certificate that the datastore knows this server by"`
	DatastoreKeyFile  string `key:"datastore-keyfile" as:"path" help:"key of that certificate"`

	DatastoreCommitInterval    time.Duration `key:"datastore-commit-interval" def:"0s" as:"duration" help:"how long an answered write may wait for the disk, so that fewer are written; a crash or a power cut loses writes this recent (default: none, a write is answered when the disk has it)"`
	DatastoreSnapshotInterval  time.Duration `key:"datastore-snapshot-interval" def:"12h" as:"duration" help:"how often a copy of the datastore is kept beside it, for the day on which it is damaged; only when something changed, never with 0s"`
	DatastoreSnapshotRetention int           `key:"datastore-snapshot-retention" def:"5" as:"number" help:"how many of these copies are kept"`

	Backups
	BackupSchedule  string `key:"backup-schedule" as:"cron" help:"when the server makes a backup by itself, for example 0 */12 * * * (default: never)"`
	BackupRetention int    `key:"backup-retention" def:"5" as:"number" help:"how many of the backups are kept that the schedule made"`

	AgentToken     Secret `key:"agent-token" as:"token" help:"secret that agents join with, apart from the servers' own (default: token)"`
	AgentTokenFile string `key:"agent-token-file" as:"path" help:"file that holds the agents' token"`

	WriteKubeconfig      string   `key:"write-kubeconfig" short:"o" env:"SKERRY_KUBECONFIG_OUTPUT" def:"/etc/skerry/skerry.yaml" as:"path" help:"where the administrator's kubeconfig is written"`
	WriteKubeconfigMode  FileMode `key:"write-kubeconfig-mode" env:"SKERRY_KUBECONFIG_MODE" def:"0600" as:"mode" help:"mode of that kubeconfig"`
	WriteKubeconfigGroup string   `key:"write-kubeconfig-group" env:"SKERRY_KUBECONFIG_GROUP" as:"group" help:"group of that kubeconfig"`

	DisableAgent bool `key:"disable-agent" help:"be a control plane only: run no pods here"`
}
