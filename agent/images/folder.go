package images

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// file is an archive in the directory, as stat shows it.
type file struct {
	name, path string
	size       int64
	mtime      time.Time
	ctime      time.Time // sees also a replacement that was given the old size and mtime
}

func (f file) same(g file) bool {
	return f.size == g.size && f.mtime.Equal(g.mtime) && f.ctime.Equal(g.ctime)
}

// list gives the archives of a directory by name; a directory that is not there is an empty one.
func list(dir string) ([]file, error) {
	entries, err := os.ReadDir(dir)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var files []file
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if !isArchive(e.Name()) {
			continue
		}
		info, err := os.Stat(path) // through symbolic links
		if err != nil || !info.Mode().IsRegular() {
			continue // gone since, a dangling link, or a directory
		}
		f := file{name: e.Name(), path: path, size: info.Size(), mtime: info.ModTime()}
		if stat, ok := info.Sys().(*syscall.Stat_t); ok {
			f.ctime = time.Unix(stat.Ctim.Unix())
		}
		files = append(files, f)
	}
	return files, nil
}

// isArchive says which names count. Hidden ones are the temporary files of copy programs.
func isArchive(name string) bool {
	if strings.HasPrefix(name, ".") {
		return false
	}
	for _, end := range []string{".tar", ".tar.gz", ".tgz", ".tar.zst"} {
		if strings.HasSuffix(name, end) {
			return true
		}
	}
	return false
}
