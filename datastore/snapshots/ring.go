package snapshots

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/skerry-io/skerry/datastore/dump"
	"github.com/skerry-io/skerry/datastore/engine"
	"github.com/skerry-io/skerry/internal/durable"
)

const (
	// kind opens a copy, and says how it is laid out.
	kind   = "skerry datastore 1"
	suffix = ".snapshot.zst"
	// stamp is how the time of a copy stands in its name.
	stamp = "20060102T150405Z"
	// window is how far back the compression looks, in bytes; more takes more memory.
	window = 256 << 10
)

// Ring is a folder of copies.
type Ring struct {
	// Dir holds nothing else.
	Dir string
	// Count is how many copies are kept.
	Count int
	Log   *slog.Logger
}

// Snapshot is one copy.
type Snapshot struct {
	Path     string
	Revision int64 // of the newest change that is in it
	Time     time.Time
	Size     int64 // in bytes
}

// List gives the copies that there are, the newest first. A folder that is not there has none.
func (r Ring) List() ([]Snapshot, error) {
	entries, err := os.ReadDir(r.Dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("list snapshots: %w", err)
	}
	var all []Snapshot
	for _, entry := range entries {
		name, ours := strings.CutSuffix(entry.Name(), suffix)
		number, when, cut := strings.Cut(name, "-")
		revision, err := strconv.ParseInt(number, 10, 64)
		at, bad := time.Parse(stamp, when)
		info, gone := entry.Info()
		if ours && cut && err == nil && bad == nil && gone == nil {
			all = append(all, Snapshot{Path: filepath.Join(r.Dir, entry.Name()), Revision: revision, Time: at, Size: info.Size()})
		}
	}
	slices.SortFunc(all, func(a, b Snapshot) int { // a clock may go wrong, revisions do not
		return strings.Compare(fmt.Sprintf("%020d %s", b.Revision, b.Path), fmt.Sprintf("%020d %s", a.Revision, a.Path))
	})
	return all, nil
}

// Write makes a copy of what all hands over, reads it, and removes the oldest copies that are too many.
func (r Ring) Write(now time.Time, state engine.State, all func(each func(engine.Record) error) error) (Snapshot, error) {
	if err := os.MkdirAll(r.Dir, 0o700); err != nil {
		return Snapshot{}, fmt.Errorf("make the folder of snapshots: %w", err)
	}
	path := filepath.Join(r.Dir, fmt.Sprintf("%d-%s%s", state.Revision, now.UTC().Format(stamp), suffix))
	count := 0
	err := durable.Write(path, func(file io.Writer) error {
		w, err := zstd.NewWriter(file, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(window), zstd.WithEncoderLevel(zstd.SpeedFastest))
		if err != nil {
			return err
		}
		err = dump.Write(w, kind, state, func(each func(engine.Record) error) error {
			return all(func(record engine.Record) error {
				count++
				return each(record)
			})
		})
		return errors.Join(err, w.Close())
	})
	if err != nil {
		return Snapshot{}, err
	}
	read := 0
	if _, err := Read(path, func(engine.Record) error { read++; return nil }); err != nil || read != count {
		return Snapshot{}, errors.Join(fmt.Errorf("a snapshot of %d keys has %d when it is read: %w", count, read, err), durable.Remove(path))
	}
	info, err := os.Stat(path)
	if err != nil {
		return Snapshot{}, err
	}
	return Snapshot{Path: path, Revision: state.Revision, Time: now.UTC(), Size: info.Size()}, r.Keep(r.Count)
}

// Keep removes the oldest copies but for the newest count, at least one, and what a power cut left of one.
func (r Ring) Keep(count int) error {
	all, err := r.List()
	if err != nil {
		return err
	}
	var errs []error
	for _, old := range all[min(len(all), max(count, 1)):] {
		errs = append(errs, durable.Remove(old.Path))
	}
	return errors.Join(append(errs, durable.Sweep(r.Dir))...)
}

// Read reads a copy. Nothing that each was given counts before Read has returned without an error.
func Read(path string, each func(engine.Record) error) (engine.State, error) {
	f, err := os.Open(path)
	if err != nil {
		return engine.State{}, err
	}
	defer f.Close()
	r, err := zstd.NewReader(f, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(8<<20), zstd.WithDecoderLowmem(true))
	if err != nil {
		return engine.State{}, err
	}
	defer r.Close()
	state, err := dump.Read(r, kind, each)
	if err != nil {
		return state, fmt.Errorf("read %s: %w", path, err)
	}
	return state, nil
}

// Newest finds the newest copy that is whole; none is nil. Those that are not are moved aside.
func (r Ring) Newest() (*Snapshot, error) {
	all, err := r.List()
	if err != nil {
		return nil, err
	}
	for _, one := range all {
		_, err := Read(one.Path, func(engine.Record) error { return nil })
		if err == nil {
			return &one, nil
		}
		r.Log.Error("a snapshot is damaged and moved aside", "file", one.Path, "err", err)
		if err := durable.Rename(one.Path, one.Path+".damaged"); err != nil {
			return nil, err
		}
	}
	return nil, nil
}
