package images

import (
	"archive/tar"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"time"
)

// Tree is the file tree of an image: absolute path to file.
type Tree map[string]File

// File is a regular file, a symbolic link (Link set) or a folder (Mode says so).
type File struct {
	Mode os.FileMode
	Data []byte
	Link string
}

// Add puts a regular file into the tree.
func (t Tree) Add(name string, mode os.FileMode, data []byte) { t[name] = File{Mode: mode, Data: data} }

// Link puts a symbolic link into the tree.
func (t Tree) Link(name, target string) { t[name] = File{Mode: os.ModeSymlink | 0o777, Link: target} }

// Folder puts a folder into the tree; folders of files need not be added.
func (t Tree) Folder(name string, mode os.FileMode) { t[name] = File{Mode: os.ModeDir | mode} }

// writeTar writes the tree, folders before what they hold, without anything that differs from run to run.
func (t Tree) writeTar(w io.Writer) error {
	whole := maps.Clone(t)
	for name := range t {
		for dir := path.Dir(name); dir != "/"; dir = path.Dir(dir) {
			if _, there := whole[dir]; !there {
				whole.Folder(dir, 0o755)
			}
		}
	}
	out := tar.NewWriter(w)
	for _, name := range slices.Sorted(maps.Keys(whole)) {
		if err := writeFile(out, strings.TrimPrefix(name, "/"), whole[name]); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	return out.Close()
}

func writeFile(out *tar.Writer, name string, f File) error {
	h := &tar.Header{Name: name, Mode: int64(f.Mode.Perm()), ModTime: time.Unix(0, 0), Typeflag: tar.TypeReg, Size: int64(len(f.Data))}
	if f.Mode&os.ModeSticky != 0 {
		h.Mode |= 0o1000
	}
	switch {
	case f.Mode.IsDir():
		h.Typeflag, h.Name = tar.TypeDir, name+"/"
	case f.Link != "":
		h.Typeflag, h.Linkname = tar.TypeSymlink, f.Link
	}
	if err := out.WriteHeader(h); err != nil {
		return err
	}
	_, err := out.Write(f.Data)
	return err
}
