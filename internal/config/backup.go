package config

import (
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/skerry-io/skerry/internal/fault"
)

// Backups are the settings that say where backups lie and what seals them, for a server and for commands.
type Backups struct {
	BackupDir            string   `key:"backup-dir" as:"place" help:"where backups lie: a directory, or s3://BUCKET/FOLDER (default: backups in the data directory)"`
	BackupPassphraseFile string   `key:"backup-passphrase-file" as:"path" help:"file that holds the passphrase that seals backups"`
	BackupRecipient      []string `key:"backup-recipient" as:"age1..." help:"whose identity opens backups, instead of a passphrase"`

	BackupS3Endpoint      string        `key:"backup-s3-endpoint" def:"s3.amazonaws.com" as:"host" help:"S3-compatible storage, as HOST or HOST:PORT"`
	BackupS3EndpointCA    string        `key:"backup-s3-endpoint-ca" as:"path" help:"PEM file of the authority of that storage (default: those that the host trusts)"`
	BackupS3SkipSSLVerify bool          `key:"backup-s3-skip-ssl-verify" help:"take any certificate of that storage"`
	BackupS3Insecure      bool          `key:"backup-s3-insecure" help:"speak to that storage without TLS"`
	BackupS3Region        string        `key:"backup-s3-region" def:"us-east-1" as:"name" help:"region of the bucket"`
	BackupS3BucketLookup  string        `key:"backup-s3-bucket-lookup-type" def:"auto" oneof:"auto,dns,path" as:"type" help:"where the bucket's name stands"`
	BackupS3AccessKey     Secret        `key:"backup-s3-access-key" env:"AWS_ACCESS_KEY_ID" as:"key" help:"who asks that storage"`
	BackupS3SecretKey     Secret        `key:"backup-s3-secret-key" env:"AWS_SECRET_ACCESS_KEY" as:"key" help:"the secret of that key"`
	BackupS3SessionToken  Secret        `key:"backup-s3-session-token" env:"AWS_SESSION_TOKEN" as:"token" help:"token of a session with that storage"`
	BackupS3Timeout       time.Duration `key:"backup-s3-timeout" def:"5m" as:"duration" help:"how long one transfer may take"`
}

// BackupPlace is where backups lie.
func (b Backups) BackupPlace(p Paths) string {
	if b.BackupDir == "" {
		return p.BackupsDir()
	}
	return b.BackupDir
}

// s3Scheme opens a place that is not a directory.
const s3Scheme = "s3://"

func (b Backups) validateBackups(p *fault.Problems) {
	if bucket, remote := strings.CutPrefix(b.BackupDir, s3Scheme); remote {
		if strings.Trim(bucket, "/") == "" {
			p.Add("backup-dir", "backup-dir %q names no bucket", b.BackupDir).Fix("write s3://BUCKET/FOLDER")
		}
	} else {
		validateAbs("backup-dir", b.BackupDir, p)
	}
	validateAbs("backup-passphrase-file", b.BackupPassphraseFile, p)
	validateAbs("backup-s3-endpoint-ca", b.BackupS3EndpointCA, p)
	if b.BackupPassphraseFile != "" && len(b.BackupRecipient) > 0 {
		p.Add("backup-recipient", "backup-recipient and backup-passphrase-file are both set").Fix("leave one of them out: a backup is sealed with either")
	}
	for _, r := range b.BackupRecipient {
		if !strings.HasPrefix(r, "age1") {
			p.Add("backup-recipient", "backup-recipient %q does not begin with age1", r).Fix("write the line that `skerry backup identity` prints")
		}
	}
	if strings.Contains(b.BackupS3Endpoint, "/") {
		p.Add("backup-s3-endpoint", "backup-s3-endpoint %q is not HOST or HOST:PORT", b.BackupS3Endpoint).Fix("leave out the scheme and the path; backup-s3-insecure is for http")
	}
	if b.BackupS3Timeout < 0 {
		p.Add("backup-s3-timeout", "backup-s3-timeout is %s", b.BackupS3Timeout).Fix("give a time like 5m, or 0s for no limit")
	}
}

// validateSchedule checks when a server makes backups by itself.
func (s Server) validateSchedule(p *fault.Problems) {
	s.validateBackups(p)
	if s.BackupRetention < 1 {
		p.Add("backup-retention", "backup-retention is %d, and the newest backup is never removed", s.BackupRetention).Fix("give 1 or more")
	}
	if s.BackupSchedule == "" {
		return
	}
	if _, err := cron.ParseStandard(s.BackupSchedule); err != nil {
		p.Add("backup-schedule", "backup-schedule %q is no time: %v", s.BackupSchedule, err).Fix("write it as cron does, for example \"0 */12 * * *\" for every twelve hours")
	}
	if s.BackupPassphraseFile == "" && len(s.BackupRecipient) == 0 {
		p.Add("backup-schedule", "backup-schedule is set, and nothing that seals the backups").Fix("set backup-recipient, or backup-passphrase-file")
	}
}

// BackupsDir holds backups that say no other place. A reset leaves it.
func (p Paths) BackupsDir() string { return filepath.Join(p.dataDir, "backups") }

// BackupsFile tells how the last backups of a server went.
func (p Paths) BackupsFile() string { return filepath.Join(p.ServerDir(), "backups.json") }

// Backup holds the settings of `skerry backup`.
type Backup struct {
	Output         string   `key:"output" short:"o" env:"-" as:"place" help:"where to: a file, a directory, s3://BUCKET/FOLDER, or - for standard output (default: backup-dir)"`
	PassphraseFile string   `key:"passphrase-file" env:"-" as:"path" help:"file that holds the passphrase that seals it (default: backup-passphrase-file)"`
	Recipient      []string `key:"recipient" env:"-" as:"age1..." help:"whose identity opens it, instead of a passphrase (default: backup-recipient)"`

	Place
	Backups
	Elsewhere
	Own
}

// BackupVerify holds the settings of `skerry backup verify`.
type BackupVerify struct {
	PassphraseFile string `key:"passphrase-file" env:"-" as:"path" help:"file that holds the passphrase that opens it (default: backup-passphrase-file)"`
	IdentityFile   string `key:"identity-file" short:"i" env:"-" as:"path" help:"file that holds the identity that opens it"`
	Output         string `key:"output" short:"o" env:"-" def:"text" oneof:"text,json" as:"format" help:"form of the answer"`

	Place
	Backups
}

// BackupList holds the settings of `skerry backup list`.
type BackupList struct {
	From   string `key:"from" env:"-" as:"place" help:"a directory, or s3://BUCKET/FOLDER (default: backup-dir)"`
	Output string `key:"output" short:"o" env:"-" def:"text" oneof:"text,json" as:"format" help:"form of the answer"`

	Place
	Backups
}

// BackupIdentity holds the settings of `skerry backup identity`.
type BackupIdentity struct {
	Output string `key:"output" short:"o" env:"-" as:"path" help:"file for the identity, which must not be there yet"`
}

// Elsewhere are the settings of a server that say where others run its datastore, for commands.
type Elsewhere struct {
	DatastoreEndpoint Secret `key:"datastore-endpoint" as:"URL" help:"the datastore of the server, if others run it"`
	DatastoreCAFile   string `key:"datastore-cafile" as:"path" help:"authority that its certificate has to be from"`
	DatastoreCertFile string `key:"datastore-certfile" as:"path" help:"certificate that it knows this server by"`
	DatastoreKeyFile  string `key:"datastore-keyfile" as:"path" help:"key of that certificate"`
}

// Own are the settings of a server that say who it is, for a datastore of several servers.
type Own struct {
	NodeName         string       `key:"node-name" as:"name" help:"name of this server (default: the host name)"`
	NodeIP           []netip.Addr `key:"node-ip" as:"address" help:"addresses of this server (default: those of the default routes)"`
	AdvertiseAddress netip.Addr   `key:"advertise-address" as:"address" help:"address other servers reach it by (default: the first node-ip)"`
}

// complete fills in the name of the host.
func (o *Own) complete(src Sources, _ *fault.Problems) {
	if name, err := src.Hostname(); o.NodeName == "" && err == nil {
		o.NodeName = strings.ToLower(name)
	}
}

// Restore holds the settings of `skerry restore`.
type Restore struct {
	ClusterInit    bool   `key:"cluster-init" help:"the server begins a cluster of several"`
	Server         string `key:"server" env:"SKERRY_URL" as:"URL" help:"the server is one of several"`
	To             Secret `key:"to" env:"-" as:"engine" help:"engine that gets what is in the backup: sqlite, etcd, or an address as for datastore-endpoint (default: the one that the settings say)"`
	PassphraseFile string `key:"passphrase-file" env:"-" as:"path" help:"file that holds the passphrase that opens the backup (default: backup-passphrase-file)"`
	IdentityFile   string `key:"identity-file" short:"i" env:"-" as:"path" help:"file that holds the identity that opens the backup"`
	Force          bool   `key:"force" env:"-" help:"put a cluster aside that is on this machine"`

	Place
	Backups
	Elsewhere
	Own
}

// Migrate holds the settings of `skerry migrate`.
type Migrate struct {
	To Secret `key:"to" env:"-" as:"engine" help:"engine that takes over: sqlite, etcd, or an address as for datastore-endpoint"`

	Place
	Elsewhere
	Own
}
