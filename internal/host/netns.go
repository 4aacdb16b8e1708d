package host

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Netns is the network namespaces that our container runtime pins under Dir ("/run/netns"). Others put theirs there too,
// under the same prefix: one is ours when a file that matches an Evidence pattern (the runtime's own state) names it.
type Netns struct {
	Dir      string   `json:"dir"`
	Prefix   string   `json:"prefix"`
	Evidence []string `json:"evidence"` // patterns as of path/filepath.Glob
}

func (n Netns) kind() string { return "netns" }
func (n Netns) id() string   { return filepath.Join(n.Dir, n.Prefix+"*") }
func (n Netns) live() bool   { return true }
func (n Netns) apply() error { return nil }

func (n Netns) before(known json.RawMessage) (json.RawMessage, error) {
	return beforePresence(known, func() (bool, error) { return false, nil })
}

func (n Netns) undo(ctx context.Context, _ json.RawMessage) (string, error) {
	files, err := os.ReadDir(n.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	var failed []error
	for _, f := range files {
		if !strings.HasPrefix(f.Name(), n.Prefix) {
			continue
		}
		ours, err := n.named(f.Name())
		if err == nil && ours && ctx.Err() == nil {
			err = unpin(filepath.Join(n.Dir, f.Name()))
		}
		failed = append(failed, err)
	}
	return "", errors.Join(failed...)
}

// named says whether our runtime's state knows the namespace. The names carry a random number, so that one that was
// freed long ago cannot be mistaken for someone else's.
func (n Netns) named(name string) (bool, error) {
	for _, pattern := range n.Evidence {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			return false, fmt.Errorf("pattern %q: %w", pattern, err)
		}
		for _, path := range paths {
			if text, err := os.ReadFile(path); err == nil && bytes.Contains(text, []byte("/"+name)) {
				return true, nil
			}
		}
	}
	return false, nil
}

func unpin(path string) error {
	if err := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("unmount %s: %w", path, err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
