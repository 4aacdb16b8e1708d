package manifests

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/skerry-io/skerry/internal/fault"
)

// maxFolders bounds a walk: a link may lead to the root of a disk.
const maxFolders = 1000

// stamp changes whenever the content of a file may have changed.
type stamp struct {
	device, inode      uint64
	size, mtime, ctime int64
}

func stampOf(info fs.FileInfo) stamp {
	s := stamp{size: info.Size(), mtime: info.ModTime().UnixNano()}
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		s.device, s.inode, s.ctime = uint64(sys.Dev), sys.Ino, sys.Ctim.Nano()
	}
	return s
}

// entry is something in the folder: a manifest, or a subfolder that cannot be read.
type entry struct {
	path   string // from the folder on, with slashes; "." for the folder itself
	full   string
	stamp  stamp
	skip   bool  // NAME.skip stands beside it, whether it is there or not
	folder bool  // nothing is known of what lies below path
	err    error // it cannot be looked at
}

// listing is what a walk through the folder found.
type listing struct {
	entries []entry  // by path
	folders []string // those to watch: all that a change could happen in
}

// holds gives the entry of a path, or of the unreadable folder that it lies in.
func (l listing) holds(file string) (entry, bool) {
	for _, e := range l.entries {
		if e.path == file || e.folder && (e.path == "." || strings.HasPrefix(file, e.path+"/")) {
			return e, true
		}
	}
	return entry{}, false
}

// walker goes through the folder, what is near the top first.
type walker struct {
	listing
	queue []place
	seen  int
	skips map[string]bool
}

// place is a folder on the way, with those it lies in, so that a link to one of them is no endless way.
type place struct {
	path, full string
	above      []stamp
}

// scan lists the manifests below root. Links are followed, also to places outside.
func scan(root string) listing {
	w := &walker{queue: []place{{path: ".", full: root}}, skips: map[string]bool{}}
	w.watch(filepath.Dir(root))
	for len(w.queue) > 0 {
		next := w.queue[0]
		w.queue = w.queue[1:]
		if err := w.enter(next); err != nil {
			w.entries = append(w.entries, entry{path: next.path, full: next.full, folder: true, err: err})
		}
	}
	w.mark()
	slices.SortFunc(w.entries, func(a, b entry) int { return cmp.Compare(a.path, b.path) })
	return w.listing
}

// watch adds a folder under its real name, so that a link that is turned elsewhere is another folder.
func (w *walker) watch(folder string) {
	if real, err := filepath.EvalSymlinks(folder); err == nil && !slices.Contains(w.folders, real) {
		w.folders = append(w.folders, real)
	}
}

func (w *walker) enter(at place) error {
	info, err := os.Stat(at.full)
	if err != nil {
		return err
	}
	self := stamp{device: stampOf(info).device, inode: stampOf(info).inode}
	if slices.Contains(at.above, self) {
		return nil // a link back: all of it is listed already
	}
	if w.seen++; w.seen > maxFolders {
		return fault.New("there are more than %d folders", maxFolders).Fix("remove the link that leads to so many")
	}
	w.watch(at.full)
	inside, err := os.ReadDir(at.full)
	if err != nil {
		return err
	}
	above := append(slices.Clone(at.above), self)
	for _, item := range inside {
		if !strings.HasPrefix(item.Name(), ".") { // what editors and copy programs put beside a file
			w.add(at, item, above)
		}
	}
	return nil
}

func (w *walker) add(at place, item fs.DirEntry, above []stamp) {
	e := entry{path: path.Join(at.path, item.Name()), full: filepath.Join(at.full, item.Name())}
	if name, found := strings.CutSuffix(e.path, ".skip"); found && isManifest(name) {
		w.skips[name] = true
		return
	}
	mode := item.Type()
	if mode&fs.ModeSymlink != 0 {
		w.follow(e.full)
	}
	info, err := os.Stat(e.full)
	switch {
	case err == nil && info.IsDir():
		w.queue = append(w.queue, place{e.path, e.full, above})
		return
	case !isManifest(item.Name()):
		return
	case errors.Is(err, fs.ErrNotExist) && mode&fs.ModeSymlink == 0:
		return // it went just now
	case err != nil:
		e.err = err
	case !info.Mode().IsRegular():
		e.err = fmt.Errorf("it is no file: %s", info.Mode().Type())
	default:
		e.stamp = stampOf(info)
	}
	w.entries = append(w.entries, e)
}

// follow watches the folders that a link passes through: a change of the file behind it is told there.
func (w *walker) follow(link string) {
	for range 10 {
		to, err := os.Readlink(link)
		if err != nil {
			break
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(link), to)
		}
		w.watch(filepath.Dir(to))
		link = to
	}
}

// mark notes which files are left alone, those that are not there among them.
func (w *walker) mark() {
	for i := range w.entries {
		if e := &w.entries[i]; w.skips[e.path] {
			e.skip = true
			delete(w.skips, e.path)
		}
	}
	for name := range w.skips {
		w.entries = append(w.entries, entry{path: name, skip: true})
	}
}

// isManifest says which names count.
func isManifest(name string) bool {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".yaml", ".yml", ".json":
		return true
	}
	return false
}
