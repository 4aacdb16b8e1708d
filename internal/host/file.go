package host

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/skerry-io/skerry/internal/durable"
	"github.com/skerry-io/skerry/internal/fault"
)

// File is a file outside the data directory. With content (see NewFile) Apply writes it; without, a component writes it
// and Apply only records it. A small file that was there before is put back by undo.
type File struct {
	Path string      `json:"path"`
	Mode fs.FileMode `json:"mode,omitempty"`
	// Sum is the SHA-256 of the content, in hex; undo leaves a file with another content. Empty: any content is ours.
	Sum string `json:"sum,omitempty"`
	// Placed says that the file was put there for us before the ledger knew of it, as install.sh does with the binary.
	Placed bool `json:"placed,omitempty"`

	content []byte
}

// NewFile is a file with a content; mode counts only its permission bits.
func NewFile(path string, content []byte, mode fs.FileMode) File {
	return File{Path: path, Mode: mode.Perm(), Sum: sum(content), content: content}
}

// keepLimit is the size up to which a file that was there before is kept in the ledger.
const keepLimit = 64 << 10

type fileBefore struct {
	presence
	Mode    fs.FileMode `json:"mode,omitempty"`
	Content []byte      `json:"content,omitempty"`
	Kept    bool        `json:"kept,omitempty"` // Content is the whole file
}

func (f File) kind() string { return "file" }
func (f File) id() string   { return f.Path }
func (f File) live() bool   { return false }

func (f File) before(known json.RawMessage) (json.RawMessage, error) {
	if known != nil {
		return known, nil
	}
	info, err := os.Stat(f.Path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && f.Placed {
		return json.Marshal(fileBefore{})
	}
	if err != nil {
		return nil, err
	}
	old := fileBefore{presence: presence{Existed: true}, Mode: info.Mode().Perm()}
	if info.Mode().IsRegular() && info.Size() <= keepLimit {
		if old.Content, err = os.ReadFile(f.Path); err != nil {
			return nil, err
		}
		old.Kept = true
	}
	return json.Marshal(old)
}

func (f File) apply() error {
	if f.Sum == "" || f.Placed {
		return nil
	}
	now, err := os.ReadFile(f.Path)
	if err == nil && bytes.Equal(now, f.content) {
		return os.Chmod(f.Path, f.Mode)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return durable.WriteFile(f.Path, f.content, f.Mode)
}

func (f File) undo(_ context.Context, before json.RawMessage) (string, error) {
	var old fileBefore
	if err := json.Unmarshal(before, &old); err != nil {
		return "", err
	}
	now, err := os.ReadFile(f.Path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	there := err == nil
	switch {
	case !there && !old.Existed:
		return "", nil
	case there && old.Kept && bytes.Equal(now, old.Content):
		return "", nil
	case there && f.Sum != "" && sum(now) != f.Sum:
		return "someone changed it since", nil
	case old.Existed && old.Kept:
		return "", durable.WriteFile(f.Path, old.Content, old.Mode)
	case old.Existed:
		return notOurs, nil
	}
	return "", os.Remove(f.Path)
}

func sum(content []byte) string {
	digest := sha256.Sum256(content)
	return hex.EncodeToString(digest[:])
}

// Symlink is a link that we make. What was in its place is set aside and put back by undo.
type Symlink struct {
	Path   string `json:"path"`
	Target string `json:"target"`
}

func (s Symlink) kind() string  { return "symlink" }
func (s Symlink) id() string    { return s.Path }
func (s Symlink) live() bool    { return false }
func (s Symlink) aside() string { return s.Path + ".before-skerry" }

func (s Symlink) before(known json.RawMessage) (json.RawMessage, error) {
	return beforePresence(known, func() (bool, error) { return false, nil })
}

func (s Symlink) apply() error {
	if s.mine() {
		return nil
	}
	if _, err := os.Lstat(s.Path); err == nil {
		if err := os.Rename(s.Path, s.aside()); err != nil {
			return err
		}
	}
	return os.Symlink(s.Target, s.Path)
}

func (s Symlink) undo(context.Context, json.RawMessage) (string, error) {
	if _, err := os.Lstat(s.Path); err == nil {
		if !s.mine() {
			return "someone changed it since", nil
		}
		if err := os.Remove(s.Path); err != nil {
			return "", err
		}
	}
	if err := os.Rename(s.aside(), s.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	return "", nil
}

func (s Symlink) mine() bool {
	target, err := os.Readlink(s.Path)
	return err == nil && target == s.Target
}

// Dir is a directory that we make; its parent must be there. Undo removes it when it is empty, or, with Tree,
// whatever is in it.
type Dir struct {
	Path string      `json:"path"`
	Mode fs.FileMode `json:"mode,omitempty"` // 0755 when not set
	Tree bool        `json:"tree,omitempty"`
	// Placed says that the directory is ours even when it was there before the ledger: the launcher unpacks into the
	// data directory, and users put image archives there before the first start.
	Placed bool `json:"placed,omitempty"`
}

func (d Dir) kind() string { return "dir" }
func (d Dir) id() string   { return d.Path }
func (d Dir) live() bool   { return false }

func (d Dir) before(known json.RawMessage) (json.RawMessage, error) {
	return beforePresence(known, func() (bool, error) {
		_, err := os.Lstat(d.Path)
		if errors.Is(err, fs.ErrNotExist) || err == nil && d.Placed {
			return false, nil
		}
		return err == nil, err
	})
}

func (d Dir) apply() error {
	mode := d.Mode.Perm()
	if mode == 0 {
		mode = 0o755
	}
	if err := os.Mkdir(d.Path, mode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

func (d Dir) undo(_ context.Context, before json.RawMessage) (string, error) {
	if existed, err := existedBefore(before); err != nil || existed {
		return notOurs, err
	}
	files, err := os.ReadDir(d.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if len(files) > 0 && !d.Tree {
		return "it holds files that Skerry did not make", nil
	}
	if err := nothingMounted(d.Path); err != nil {
		return "", err
	}
	return "", os.RemoveAll(d.Path)
}

// nothingMounted keeps a removal from walking into someone's data through a mount.
func nothingMounted(dir string) error {
	mounts, err := mountsUnder(dir)
	if err != nil {
		return err
	}
	if len(mounts) == 0 {
		return nil
	}
	point := mounts[len(mounts)-1].Point
	return fault.New("%s is mounted, its files could be someone's", point).Fix("umount %s, then run this command again", point)
}

// MakeDir makes a directory and the missing ones above it, each through the ledger. With tree, undo removes everything
// in the innermost one.
func (l *Ledger) MakeDir(path string, mode fs.FileMode, tree bool) error {
	path = filepath.Clean(path)
	if parent := filepath.Dir(path); parent != path {
		if _, err := os.Stat(parent); errors.Is(err, fs.ErrNotExist) {
			if err := l.MakeDir(parent, 0o755, false); err != nil {
				return err
			}
		}
	}
	if err := l.Apply(Dir{Path: path, Mode: mode, Tree: tree}); err != nil {
		return fmt.Errorf("make %s: %w", path, err)
	}
	return nil
}
