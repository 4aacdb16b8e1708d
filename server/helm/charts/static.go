package charts

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/skerry-io/skerry/internal/fault"
)

// ownServer is how manifests made for k3s name the server itself.
const ownServer = "https://%{KUBERNETES_API}%/static/"

// staticPath gives the path below the static folder when the source names a file there. A path that leads out of the
// folder is given as it is, and found out when it is opened.
func staticPath(folder string, s Source) (string, bool) {
	if name, is := strings.CutPrefix(s.Chart, ownServer); is {
		return name, true
	}
	if s.Repo != "" || strings.Contains(s.Chart, "://") || !strings.HasSuffix(s.Chart, ".tgz") && !strings.HasSuffix(s.Chart, ".tar.gz") {
		return "", false
	}
	if !filepath.IsAbs(s.Chart) {
		return s.Chart, true
	}
	name, err := filepath.Rel(folder, s.Chart)
	return name, err == nil
}

// file reads a chart of the static folder; NAME.tgz is also found as charts/NAME.tgz.
func (f Fetcher) file(name string) (Archive, error) {
	root, err := os.OpenRoot(f.Static)
	if err != nil {
		return Archive{}, noFile(filepath.Join(f.Static, name), err)
	}
	defer root.Close()
	file, err := root.Open(name)
	if errors.Is(err, fs.ErrNotExist) && !strings.Contains(name, "/") {
		name = "charts/" + name
		file, err = root.Open(name)
	}
	path := filepath.Join(f.Static, name)
	if err != nil {
		return Archive{}, noFile(path, err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return Archive{}, noFile(path, err)
	}
	if !info.Mode().IsRegular() {
		return Archive{}, noFile(path, errors.New("it is no file"))
	}
	content, err := limited(file, maxArchive)
	if err != nil {
		return Archive{}, noFile(path, err)
	}
	return Archive{Content: content, From: path}, nil
}

func noFile(path string, err error) error {
	var where *fs.PathError
	if errors.As(err, &where) {
		err = where.Err // the path is said once
	}
	return fault.New("read the chart %s", path).Because(err).Fix("put the chart's .tgz file there; only files below the static folder are read")
}

// limited reads all, if that is not too much.
func limited(r io.Reader, most int64) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(r, most+1))
	if err != nil {
		return nil, err
	}
	if int64(len(content)) > most {
		return nil, fault.New("more than %d MB", most>>20).Because(errTooLarge)
	}
	return content, nil
}
