package vault

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/skerry-io/skerry/datastore/backup"
	"github.com/skerry-io/skerry/datastore/engine"
	"github.com/skerry-io/skerry/datastore/engines"
	"github.com/skerry-io/skerry/internal/config"
	"github.com/skerry-io/skerry/internal/durable"
	"github.com/skerry-io/skerry/internal/fault"
)

const (
	// gap is how far revisions jump at a restore, and perSecond how much more for each second since the backup was made: clients
	// may hold revisions that the lost cluster gave out, or one that was restored from the same backup before.
	gap       = 1_000_000_000
	perSecond = 1000
	// incoming is added to the name of what is not whole yet.
	incoming = ".incoming"
	// beside is added to the name of a file of the backup where there is another one that stays.
	beside = ".from-backup"
)

// Restoration brings a cluster back.
type Restoration struct {
	Backup
	Paths      config.Paths
	ConfigFile string
	// Engine gives the engine that is filled, whose files lie in a directory that takes the place of Paths.DBDir().
	Engine func(dir string) engines.Engine
	// Ready, if set, is asked before anything is written, once the backup is known to be whole, and before Engine. settings is a config
	// file, for the time of the call, that says what those of this machine will say.
	Ready func(m backup.Manifest, settings string) error
	// Force puts a cluster aside that is there already.
	Force bool
	Now   time.Time
}

// Restored says what a restore has done.
type Restored struct {
	Checked
	Revision int64    // changes go on above it
	Aside    string   // where what was there before lies; "" when there was nothing
	Placed   []string // files beside the config file that were written
	Differ   []string // those that were written under another name, because others are there, which stay
	Unplaced error    // why files beside the config file could not be written, which is no harm to the cluster; nil when all were
}

// Run checks the whole backup, and then puts it in place.
func (r Restoration) Run(ctx context.Context) (*Restored, error) {
	if err := r.vacant(); err != nil {
		return nil, err
	}
	checked, err := r.Check(ctx)
	if err != nil {
		return nil, err
	}
	if err := r.prepare(checked); err != nil {
		return nil, err
	}
	done := &Restored{Checked: *checked}
	return done, r.place(ctx, done)
}

// vacant refuses a machine that has a cluster, unless it may be put aside.
func (r Restoration) vacant() error {
	if r.Force {
		return nil
	}
	for _, at := range []string{r.Paths.TLSDir(), r.Paths.DBDir(), r.Paths.TokenFile()} {
		if _, err := os.Stat(at); err == nil {
			return fault.New("there is a cluster on this machine: %s exists", at).
				Fix("restore on another machine, or put the cluster aside with --force; it is not removed")
		}
	}
	return nil
}

// place builds the server's directory beside its place, and moves it there as a whole.
func (r Restoration) place(ctx context.Context, done *Restored) (err error) {
	building := r.Paths.ServerDir() + incoming
	if err := os.RemoveAll(building); err != nil { // of a restore that was cut off
		return err
	}
	if err := os.MkdirAll(building, 0o700); err != nil {
		return fault.New("make the server's directory").Because(err).Fix("check that the disk has room and can be written")
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(building), done.unsettle())
		}
	}()
	if err := r.settings(done); err != nil { // before there is a cluster that would be another one without them
		return err
	}
	for _, f := range done.Files {
		if rest, ok := strings.CutPrefix(f.Name, serverRoot+"/"); ok {
			if err := durable.WriteFile(filepath.Join(building, rest), f.Data, f.Mode); err != nil {
				return err
			}
		}
	}
	db, err := filepath.Rel(r.Paths.ServerDir(), r.Paths.DBDir())
	if err != nil {
		return err
	}
	if err := r.fill(ctx, filepath.Join(building, db), done); err != nil {
		return err
	}
	if done.Aside, err = exchange(building, r.Paths.ServerDir(), r.Now); err != nil {
		return left(r.Engine(building), "restore", err)
	}
	return nil
}

// fill makes the datastore. The backup is read a second time, and must be the same as before.
func (r Restoration) fill(ctx context.Context, dir string, done *Restored) error {
	since := max(0, int64(r.Now.Sub(done.Manifest.Made)/time.Second))
	done.Revision = done.Manifest.Revision + gap + perSecond*since
	state := engine.State{Revision: done.Revision, Compacted: done.Revision, Limit: done.Revision}
	return r.Engine(dir).Fill(ctx, state, func(each func(engine.Record) error) error {
		m, s, err := r.read(ctx, "restoring", backup.Sink{Record: each})
		if err == nil && (m != done.Manifest || s != done.Summary) {
			err = fault.New("the backup is another one than a moment ago").Fix("try again when nobody writes to it")
		}
		return err
	})
}
