package vault

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/skerry-io/skerry/datastore/engine"
	"github.com/skerry-io/skerry/datastore/engines"
	"github.com/skerry-io/skerry/datastore/export"
	"github.com/skerry-io/skerry/internal/fault"
)

// Migration moves what a cluster keeps from one engine to another, while no server runs.
type Migration struct {
	// Dir is where engines keep their files: what is there is put aside as a whole.
	Dir string
	// From and To give the engines, with their files in a directory.
	From, To func(dir string) engines.Engine
	// Progress, if set, is told how many keys were moved, or read again, and of how many.
	Progress func(what string, done, of int64)
	Now      time.Time
}

// Moved says what a migration has done.
type Moved struct {
	Keys     int64
	Revision int64  // the last one of the old store; changes go on above it
	Changed  int64  // records whose revision the new engine could not keep
	Aside    string // where the old store lies; "" when it has no files here
}

// Run fills the new engine, reads it again, and then puts the old one aside. An engine that others run must have no servers meanwhile:
// it is refused when one is seen, and when anything was written. When it fails nothing has changed but a database that was filled,
// and then the error says so.
func (m Migration) Run(ctx context.Context) (moved *Moved, err error) {
	building := m.Dir + incoming
	if err := os.RemoveAll(building); err != nil { // of a migration that was cut off
		return nil, err
	}
	if err := os.MkdirAll(building, 0o700); err != nil {
		return nil, fault.New("make a directory for the new datastore").Because(err).Fix("check that the disk has room and can be written")
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(building))
		}
	}()
	moved, filled, err := m.carry(ctx, building)
	if err == nil {
		moved.Aside, err = exchange(building, m.Dir, m.Now)
	}
	if err != nil && filled {
		err = left(m.To(building), "migration", err)
	}
	return moved, err
}

// carry brings everything over, and compares. filled says that the new engine has been filled. The old one is closed again.
func (m Migration) carry(ctx context.Context, building string) (moved *Moved, filled bool, err error) {
	from := m.From(m.Dir)
	opened, err := from.Open(ctx)
	if err != nil {
		return nil, false, err
	}
	defer func() { err = errors.Join(err, opened.Close()) }()
	still := func(*export.View) error { return nil } // what is inside has no other user
	if from.External() {
		if err := alone(ctx, from, opened.Client); err != nil {
			return nil, false, err
		}
		still = func(v *export.View) error { return unmoved(ctx, from, v) }
	}
	view, err := export.Open(ctx, opened.Client)
	if err != nil {
		return nil, false, err
	}
	before, err := m.fill(ctx, view, building, still)
	if err != nil {
		return nil, false, err
	}
	after, err := m.look(ctx, m.To(building))
	if err == nil {
		moved, err = compare(before, after)
	}
	if err == nil {
		err = still(view)
	}
	return moved, true, err
}

// compare says what came over.
func compare(before, after *sight) (*Moved, error) {
	if after.digest.String() != before.digest.String() {
		return nil, fmt.Errorf("the copy has %d keys in %d bytes, and the original %d in %d, or they differ", after.digest.Keys, after.digest.Bytes,
			before.digest.Keys, before.digest.Bytes)
	}
	moved := &Moved{Keys: before.digest.Keys, Revision: before.revision}
	for key, revision := range before.revisions {
		if after.revisions[key] != revision {
			moved.Changed++
		}
	}
	return moved, nil
}

// sight is what was seen of a store.
type sight struct {
	digest    *export.Digest
	revision  int64
	revisions map[string]int64
}

// fill reads the old engine into the new one, which takes nothing when the old one is not still as it was.
func (m Migration) fill(ctx context.Context, v *export.View, building string, still func(*export.View) error) (s *sight, err error) {
	state := engine.State{Revision: v.Revision, Compacted: v.Revision, Limit: v.Revision}
	err = m.To(building).Fill(ctx, state, func(each func(engine.Record) error) error {
		if s, err = m.see(ctx, v, "copying", each); err != nil {
			return err
		}
		return still(v)
	})
	return s, err
}

// look opens an engine, reads all of it, and closes it.
func (m Migration) look(ctx context.Context, of engines.Engine) (s *sight, err error) {
	opened, err := of.Open(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, opened.Close()) }()
	view, err := export.Open(ctx, opened.Client)
	if err != nil {
		return nil, err
	}
	return m.see(ctx, view, "checking", func(engine.Record) error { return nil })
}

// see reads all that is in a view. each takes the records.
func (m Migration) see(ctx context.Context, v *export.View, what string, each func(engine.Record) error) (*sight, error) {
	s := &sight{digest: export.NewDigest(), revision: v.Revision, revisions: map[string]int64{}}
	return s, v.Records(ctx, func(r engine.Record) error {
		s.digest.Add(r)
		s.revisions[r.Key] = r.Revision
		if m.Progress != nil {
			m.Progress(what, s.digest.Keys, v.Keys)
		}
		return each(r)
	})
}
