package vault

import (
	"bytes"
	"slices"
	"strings"

	"github.com/skerry-io/skerry/datastore/backup"
	"github.com/skerry-io/skerry/datastore/engine"
	"github.com/skerry-io/skerry/internal/config"
	"github.com/skerry-io/skerry/internal/fault"
)

const (
	// secretKeysName is the file with the keys that Secrets are encrypted with, and encrypted is how a value begins that was.
	secretKeysName = "cred/encryption-config.json"
	encrypted      = "k8s:enc:secretbox:"
)

// needed are the files without which a cluster would be another one: its nodes would not be let in, or not believe the server, and
// all tokens of service accounts would be void. Whatever else is missing a server makes anew.
func needed() []string {
	return []string{"tls/" + authorityName, "tls/server-ca.key", "tls/client-ca.crt", "tls/client-ca.key", "tls/service.key"}
}

// completeness finds out what is missing from a backup, while its parts go by in any order.
type completeness struct {
	files   []string // those that are there and not empty, below the server's directory
	secrets bool     // there is a Secret that only a key opens
}

func (c *completeness) file(f backup.File) {
	if name, ok := strings.CutPrefix(f.Name, serverRoot+"/"); ok && len(bytes.TrimSpace(f.Data)) > 0 {
		c.files = append(c.files, name)
	}
}

func (c *completeness) record(r engine.Record) {
	c.secrets = c.secrets || bytes.HasPrefix(r.Value, []byte(encrypted))
}

// missing names what is not there; "" when all is, as far as it was seen.
func (c *completeness) missing() string {
	want := needed()
	if c.secrets {
		want = append(want, secretKeysName)
	}
	return strings.Join(slices.DeleteFunc(want, func(name string) bool { return slices.Contains(c.files, name) }), ", ")
}

// savable refuses what could not be restored from.
func (c *completeness) savable(p config.Paths) error {
	if missing := c.missing(); missing != "" {
		return fault.New("make a backup without %s: the cluster could not be restored from it", missing).
			Fix("bring the missing files back into %s, from an earlier backup or from another server of the cluster", p.ServerDir())
	}
	return nil
}

// restorable refuses a backup that no whole cluster would come out of.
func (c *completeness) restorable() error {
	if missing := c.missing(); missing != "" {
		return fault.New("the backup lacks %s, without which the cluster cannot be restored", missing).Fix("take another backup; nothing was changed")
	}
	return nil
}
