package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/skerry-io/skerry/datastore/engine"
	"github.com/skerry-io/skerry/datastore/snapshots"
	"github.com/skerry-io/skerry/datastore/sqlite"
	"github.com/skerry-io/skerry/internal/durable"
	"github.com/skerry-io/skerry/internal/fault"
)

// unknownGap is how far revisions jump when nothing says which were given out.
const unknownGap = 1 << 30

// Loss says what was lost with a damaged database.
type Loss struct {
	When     time.Time
	From, To int64  // revisions; what was written between them may be gone
	Exact    bool   // To was given out; otherwise it is the highest that may have been
	Kept     string // where the damaged file lies
	Used     string // the snapshot that took its place; "" when the database itself could go on
	Why      string
}

// String is a sentence for the log and the status.
func (l Loss) String() string {
	to := strconv.FormatInt(l.To, 10)
	if !l.Exact {
		to = "at most " + to
	}
	text := fmt.Sprintf("the database was damaged (%s): changes of revisions %d to %s are lost; the damaged file is kept as %s", l.Why, l.From, to, l.Kept)
	if l.Used != "" {
		text += "; in its place is " + l.Used
	}
	return text
}

// lost says that there was a database here and now there is none.
func (c Config) lost() bool {
	_, db := os.Stat(c.path(databaseFile))
	_, claim := os.Stat(c.path(claimFile))
	return errors.Is(db, os.ErrNotExist) && claim == nil
}

func (c Config) path(name string) string { return filepath.Join(c.Dir, name) }

func (c Config) ring() snapshots.Ring {
	return snapshots.Ring{Dir: c.path(snapshotFolder), Count: c.SnapshotCount, Log: c.Log}
}

// heal puts the newest snapshot into the place of a database that is damaged, or gone. Revisions go on above all that may
// have been given out, so that no client takes the old state for a newer one. What is lost is told before it takes its place.
func (c Config) heal(ctx context.Context, why error) error {
	path := c.path(databaseFile)
	snapshot, err := c.ring().Newest()
	if err != nil {
		return err
	}
	if snapshot == nil {
		return fault.New("open the database %s", path).Because(why).
			Fix("it is damaged, and there is no snapshot to take its place; restore a backup, or empty %s to start an empty cluster", c.Dir)
	}
	loss := Loss{When: time.Now(), From: snapshot.Revision + 1, Used: snapshot.Path, Why: why.Error()}
	claimed, err := sqlite.Claimed(c.path(claimFile))
	if err != nil {
		claimed = snapshot.Revision + unknownGap
	}
	loss.To = claimed
	if newest, err := sqlite.Newest(ctx, path); err == nil && newest > snapshot.Revision {
		loss.To, loss.Exact = newest, true
	}
	if err := removeAll(path + incoming); err != nil {
		return err
	}
	if err := c.rebuild(ctx, snapshot.Path, path+incoming, max(claimed, loss.To)); err != nil {
		return fmt.Errorf("make a database of %s: %w", snapshot.Path, err)
	}
	c.at("local/rebuilt")
	loss.Kept = fmt.Sprintf("%s.damaged-%s", path, loss.When.UTC().Format("20060102-150405"))
	for _, suffix := range besides() { // the database first: once it is gone, this is done again
		if err := durable.Rename(path+suffix, loss.Kept+suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		c.at("local/moved-aside")
	}
	if err := c.mourn(loss); err != nil { // rather told twice than never
		return err
	}
	c.at("local/told")
	return durable.Rename(path+incoming, path)
}

// behind says that the newest snapshot knows more than the database, whose logs are damaged before what the snapshot was made of.
func (c Config) behind(ctx context.Context) bool {
	snapshot, err := c.ring().Newest()
	if err != nil || snapshot == nil {
		return false
	}
	have, err := sqlite.Newest(ctx, c.path(databaseFile))
	return err == nil && have < snapshot.Revision
}

// rebuild makes a database of a snapshot, whose revisions go on above last.
func (c Config) rebuild(ctx context.Context, from, to string, last int64) (err error) {
	db, err := sqlite.Open(ctx, to, sqlite.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var batch engine.Batch
	_, err = snapshots.Read(from, func(r engine.Record) error {
		if batch.Put = append(batch.Put, r); len(batch.Put) < atOnce {
			return nil
		}
		err := addTo(ctx, db, batch)
		batch.Put = batch.Put[:0]
		return err
	})
	if err != nil {
		return err
	}
	batch.Compacted, batch.Limit = last, last
	return finish(ctx, db, batch)
}

// keepLogs puts copies aside of what is not in the database yet, before it is cut off where the damage is, and gives that of the damaged
// file.
func (c Config) keepLogs(damaged string) (kept string, err error) {
	aside := ".damaged-" + time.Now().UTC().Format("20060102-150405")
	for _, path := range []string{c.path(databaseFile) + "-wal", c.path(databaseFile) + "-latest"} {
		from, err := os.Open(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		err = durable.Write(path+aside, func(w io.Writer) error {
			_, err := io.Copy(w, from)
			return err
		})
		if err = errors.Join(err, from.Close()); err != nil {
			return "", err
		}
	}
	return damaged + aside, nil
}

// mournLog tells what a damaged log lost: all that was written after the damage.
func (c Config) mournLog(ctx context.Context, e *engine.Engine, kept string, damage error) error {
	last, err := e.CurrentRevision(ctx)
	if err != nil {
		return err
	}
	return c.mourn(Loss{When: time.Now(), From: e.Stored() + 1, To: last, Kept: kept, Why: damage.Error()})
}
