package shared

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/skerry-io/skerry/internal/durable"
	"github.com/skerry-io/skerry/internal/fault"
)

// Place is where the files lie.
type Place struct {
	Dir   string   // that their paths begin in
	Names []string // their paths below it
}

// Read gives the files that exist.
func (p Place) Read() (Files, error) {
	files := Files{}
	for _, name := range p.Names {
		text, err := os.ReadFile(p.path(name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fault.New("read %s, which the cluster's servers share", p.path(name)).Because(err).Fix("make it a file that root can read")
		}
		files[name] = text
	}
	return files, nil
}

// mayVanish says that a cluster may come to do without a file. All others are missing only by mistake, or where another release has
// them: no server loses one because another one has none.
func mayVanish(name string) bool { return name == "agent-token" }

// write makes the files what they shall be, and names those that were not. The authority's key comes last: who has it has all. What
// is not in the list is left aside: it is another release's.
func (p Place) write(want Files) (changed []string, err error) {
	for _, name := range p.authorityLast() {
		have, err := os.ReadFile(p.path(name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return changed, err
		}
		text, wanted := want[name]
		switch {
		case wanted && (err != nil || !bytes.Equal(have, text)):
			err = durable.WriteFile(p.path(name), text, modeOf(name))
		case !wanted && err == nil && mayVanish(name):
			err = os.Remove(p.path(name))
		default:
			continue
		}
		if err != nil {
			return changed, fault.New("write %s, which the cluster's servers share", p.path(name)).Because(err).Fix("check that the disk is not full or read-only")
		}
		changed = append(changed, name)
	}
	return changed, nil
}

func (p Place) authorityLast() []string {
	names := slices.DeleteFunc(slices.Clone(p.Names), func(name string) bool { return name == authority })
	return append(names, authority)
}

// putBack makes the files what they were, and removes all others; of those the authority's key goes first.
func (p Place) putBack(before Files) error {
	_, err := p.write(before)
	for _, name := range slices.Backward(p.authorityLast()) {
		if _, there := before[name]; !there {
			if gone := os.Remove(p.path(name)); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
				err = errors.Join(err, gone)
			}
		}
	}
	return err
}

func (p Place) path(name string) string { return filepath.Join(p.Dir, filepath.FromSlash(name)) }

func modeOf(name string) fs.FileMode {
	if strings.HasSuffix(name, ".crt") {
		return 0o644
	}
	return 0o600
}

// merge takes ours for what we have changed since base, and theirs for all else. What one side misses the other one gives, unless it
// may vanish.
func merge(base, ours, theirs Files, names []string) Files {
	all := Files{}
	for name, text := range theirs {
		if !slices.Contains(names, name) {
			all[name] = text // of another release: kept as it is
		}
	}
	for _, name := range names {
		from, other := theirs, ours
		if !same(base, ours, name) {
			from, other = ours, theirs
		}
		text, there := from[name]
		if !there && !mayVanish(name) {
			text, there = other[name]
		}
		if there {
			all[name] = text
		}
	}
	return all
}

func same(a, b Files, name string) bool {
	x, inA := a[name]
	y, inB := b[name]
	return inA == inB && bytes.Equal(x, y)
}

func equal(a, b Files) bool {
	if len(a) != len(b) {
		return false
	}
	for name := range a {
		if !same(a, b, name) {
			return false
		}
	}
	return true
}
