package storage

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"sync"

	"github.com/skerry-io/skerry/internal/durable"
	"github.com/skerry-io/skerry/internal/wire"
)

// state is what has to survive the process: where this node has kept volumes, and which directories nobody has said yet
// are wanted. It is on disk before the directory is.
type state struct {
	file string

	mu   sync.Mutex // guards what follows
	kept remembered
}

// remembered is the content of the file.
type remembered struct {
	Roots []string         `json:"roots"`
	Fresh map[string]fresh `json:"fresh,omitempty"` // by folder
}

// fresh is a directory whose fate is not known.
type fresh struct {
	Root  string           `json:"root"`
	Order wire.VolumeOrder `json:"order"`
}

// load reads the state. A file that cannot be read is an error: it says what may be removed.
func load(file string) (*state, error) {
	s := &state{file: file}
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &s.kept); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return s, nil
}

// change writes the state as do leaves it. When that fails, the state is what it was.
func (s *state) change(do func(*remembered)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := remembered{Roots: slices.Clone(s.kept.Roots), Fresh: maps.Clone(s.kept.Fresh)}
	if next.Fresh == nil {
		next.Fresh = map[string]fresh{}
	}
	do(&next)
	text, err := json.Marshal(next)
	if err != nil {
		return err
	}
	if err := durable.WriteFile(s.file, text, 0o600); err != nil {
		return err
	}
	s.kept = next
	return nil
}

// keepsIn says that this node keeps or has kept volumes in a directory.
func (s *state) keepsIn(root string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.kept.Roots, root)
}

func (s *state) addRoot(root string) error {
	if s.keepsIn(root) {
		return nil
	}
	return s.change(func(r *remembered) { r.Roots = append(r.Roots, root) })
}

func (s *state) fresh(folder string) (fresh, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, there := s.kept.Fresh[folder]
	return f, there
}

func (s *state) allFresh() []fresh {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.kept.Fresh))
}

func (s *state) mark(folder string, f fresh) error {
	return s.change(func(r *remembered) { r.Fresh[folder] = f })
}

func (s *state) unmark(folder string) error {
	if _, there := s.fresh(folder); !there {
		return nil
	}
	return s.change(func(r *remembered) { delete(r.Fresh, folder) })
}
