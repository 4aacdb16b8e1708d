package backup

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/skerry-io/skerry/internal/fault"
)

// Format is the newest form that this release knows, and the one that it writes.
const Format = 1

// The names in the tar.
const (
	manifestName = "manifest.json"
	summaryName  = "summary.json"
	keysPrefix   = "keys/"
	filesPrefix  = "files/"
)

// Manifest says what a backup is of. It comes first in the file.
type Manifest struct {
	Format     int       `json:"format"`
	Made       time.Time `json:"made"`
	Version    string    `json:"version"`    // of Skerry
	Kubernetes string    `json:"kubernetes"` // its version
	Cluster    string    `json:"cluster"`    // the fingerprint of its authority for servers
	Server     string    `json:"server"`     // the node that made it
	Engine     string    `json:"engine"`     // sqlite, etcd or the kind of another database
	Revision   int64     `json:"revision"`   // the newest change that can be in it
}

// Summary says what a backup holds. It comes last in the file, when that is known.
type Summary struct {
	Keys   int64  `json:"keys"`
	Bytes  int64  `json:"bytes"` // of keys and values, as they are in the datastore
	Files  int    `json:"files"`
	Digest string `json:"digest"` // of keys and values, as package export makes it
	Names  string `json:"names"`  // the digest of the files, by their names
}

// File is one that lies beside the datastore.
type File struct {
	// Name is its path below the root that its first element names, for example server/tls/server-ca.crt or etc/config.yaml.
	Name string
	Mode fs.FileMode
	Data []byte
}

// check refuses what this release cannot read.
func (m Manifest) check() error {
	switch {
	case m.Format > Format:
		return fault.New("the backup has the form %d, and this release (%s made it) knows %d", m.Format, m.Version, Format).
			Fix("use skerry %s or a later one", m.Version)
	case m.Format < 1 || m.Revision < 1:
		return wrong("its manifest has the form %d and the revision %d", m.Format, m.Revision)
	}
	return nil
}

// checkName refuses names that could lead out of where files are put.
func checkName(name string) error {
	if !fs.ValidPath(name) || name != path.Clean(name) || strings.ContainsAny(name, "\x00\\") || !strings.Contains(name, "/") ||
		slices.Contains(strings.Split(name, "/"), "..") {
		return wrong("a file in it has the name %q", name)
	}
	return nil
}

// ErrDamaged says that a file is not what was written.
var ErrDamaged = errors.New("the backup is damaged")

func wrong(format string, args ...any) error {
	return fault.New("read the backup").Because(fmt.Errorf("%w: %s", ErrDamaged, fmt.Sprintf(format, args...))).
		Fix("take another backup, or copy this one again; nothing was changed")
}

func text(v any) ([]byte, error) {
	made, err := json.MarshalIndent(v, "", "  ")
	return append(made, '\n'), err
}
