package images

import (
	"encoding/json"
	"os"
	"time"

	"github.com/skerry-io/skerry/internal/durable"
)

// state is what was imported, kept over restarts.
type state struct {
	Files    map[string]record `json:"files"`    // by file name, also of files that are gone: their images are still pinned
	Builtins map[string]record `json:"builtins"` // by image name
}

// record is one import.
type record struct {
	Path   string    `json:"path"`
	Size   int64     `json:"size"`
	Time   time.Time `json:"time"`           // when the content of the file last changed
	Inode  time.Time `json:"inode,omitzero"` // when anything about an archive last changed
	SHA256 string    `json:"sha256"`         // of the file; of the settings for a built-in image
	Images []Image   `json:"images"`
}

// sameStat says that an archive looks exactly as when it was imported.
func (r record) sameStat(f file) bool {
	return r.Size == f.size && r.Time.Equal(f.mtime) && r.Inode.Equal(f.ctime)
}

func (r record) sameFile(s record) bool {
	return r.Path == s.Path && r.Size == s.Size && r.Time.Equal(s.Time)
}

// loadState reads the file. One that is missing or broken is an empty one: everything is imported again.
func loadState(path string) *state {
	s := &state{}
	if data, err := os.ReadFile(path); err != nil || json.Unmarshal(data, s) != nil {
		s = &state{}
	}
	if s.Files == nil {
		s.Files = map[string]record{}
	}
	if s.Builtins == nil {
		s.Builtins = map[string]record{}
	}
	return s
}

// save replaces the file.
func (s *state) save(path string) error {
	data, err := json.MarshalIndent(s, "", " ")
	if err != nil {
		return err
	}
	return durable.WriteFile(path, data, 0o600)
}

// orphans are those of the images that no record names any more.
func (s *state) orphans(old []Image) []Image {
	named := map[string]bool{}
	for _, records := range []map[string]record{s.Files, s.Builtins} {
		for _, r := range records {
			for _, image := range r.Images {
				named[image.Name] = true
			}
		}
	}
	var left []Image
	for _, image := range old {
		if !named[image.Name] {
			left = append(left, image)
		}
	}
	return left
}
