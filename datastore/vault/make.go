package vault

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"time"

	"github.com/skerry-io/skerry/datastore/backup"
	"github.com/skerry-io/skerry/datastore/engine"
	"github.com/skerry-io/skerry/datastore/export"
	"github.com/skerry-io/skerry/datastore/shelf"
	"github.com/skerry-io/skerry/internal/config"
	"github.com/skerry-io/skerry/internal/fault"
)

// attempts is how often a backup is begun again because the cluster changed under it: its files, or the revision is gone.
const attempts = 3

// Source is a cluster that a backup is made of.
type Source struct {
	Paths      config.Paths
	ConfigFile string
	Client     export.Client
	// Program and Kubernetes are versions, Server is the node's name, Engine the kind of the datastore.
	Program, Kubernetes, Server, Engine string
	// Progress, if set, is told how many keys are read, and of how many.
	Progress func(done, of int64)
}

// Result is a backup that was made.
type Result struct {
	Manifest backup.Manifest
	Summary  backup.Summary
	Name     string // on its shelf
	Size     int64  // in bytes
}

// Put puts a backup onto a shelf, under a name of its own where name is empty.
func (s Source) Put(ctx context.Context, seal *backup.Seal, on shelf.Shelf, name string, now time.Time, scheduled bool) (r Result, err error) {
	cluster, err := Fingerprint(s.Paths)
	if err != nil {
		return r, err
	}
	if r.Name = name; name == "" {
		r.Name = shelf.Name(cluster, now, scheduled)
	}
	for range attempts {
		r.Size, err = on.Put(ctx, r.Name, func(w io.Writer) (err error) {
			r.Manifest, r.Summary, err = s.Make(ctx, w, seal, now)
			return err
		})
		if !again(err) {
			return r, err
		}
	}
	return r, err
}

// Make writes a backup of the moment at which it begins to read.
func (s Source) Make(ctx context.Context, to io.Writer, seal *backup.Seal, now time.Time) (m backup.Manifest, sum backup.Summary, err error) {
	cluster, err := Fingerprint(s.Paths)
	if err != nil {
		return m, sum, err
	}
	view, files, err := s.moment(ctx)
	if err != nil {
		return m, sum, err
	}
	m = backup.Manifest{Format: backup.Format, Made: now.UTC().Truncate(time.Second), Version: s.Program, Kubernetes: s.Kubernetes, Cluster: cluster,
		Server: s.Server, Engine: s.Engine, Revision: view.Revision}
	seen, done := &completeness{}, int64(0)
	for _, f := range files {
		seen.file(f)
	}
	if err := seen.savable(s.Paths); err != nil {
		return m, sum, err
	}
	sum, err = backup.Write(to, seal, backup.Contents{Manifest: m, Files: files, Records: func(each func(engine.Record) error) error {
		return view.Records(ctx, func(r engine.Record) error {
			done++
			s.progress(done, view.Keys)
			if seen.record(r); seen.secrets {
				if err := seen.savable(s.Paths); err != nil {
					return err
				}
			}
			return each(r)
		})
	}})
	if export.Gone(err) {
		err = errTooSlow{err}
	}
	return m, sum, err
}

func (s Source) progress(done, of int64) {
	if s.Progress != nil {
		s.Progress(done, of)
	}
}

// errTooSlow is when the revision went away that was being read.
type errTooSlow struct{ error }

func (e errTooSlow) Unwrap() error { return e.error }

func again(err error) bool {
	var slow errTooSlow
	return errors.As(err, &slow)
}

// moment fixes a revision and reads the files as they were then: Secrets of the revision may be encrypted by a key that was made just
// before, and must not be by one that was made just after.
func (s Source) moment(ctx context.Context) (*export.View, []backup.File, error) {
	for range attempts {
		before, err := gather(s.Paths, s.ConfigFile)
		if err != nil {
			return nil, nil, err
		}
		view, err := export.Open(ctx, s.Client)
		if err != nil {
			return nil, nil, err
		}
		after, err := gather(s.Paths, s.ConfigFile)
		if err != nil {
			return nil, nil, err
		}
		if reflect.DeepEqual(before, after) {
			return view, after, nil
		}
	}
	return nil, nil, fault.New("the files of the cluster change all the time, such as those in %s", s.Paths.ManifestsDir()).Fix("make the backup when they are left alone")
}

// Fingerprint is by what a cluster is known: the fingerprint of its authority for servers, as its tokens carry it.
func Fingerprint(p config.Paths) (string, error) {
	file := filepath.Join(p.TLSDir(), authorityName)
	text, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return "", fault.New("there is no cluster in %s", p.ServerDir()).Because(err).Fix("run the command on a server, with the data-dir of that server")
	}
	if err != nil {
		return "", fault.New("read the authority of the cluster").Because(err).Fix("run the command as root")
	}
	return fingerprint(text)
}

func fingerprint(text []byte) (string, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return "", fault.New("the authority of the cluster is no PEM file").Fix("restore a backup")
	}
	sum := sha256.Sum256(block.Bytes)
	return hex.EncodeToString(sum[:]), nil
}
