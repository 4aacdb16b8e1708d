package vault

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/skerry-io/skerry/datastore/backup"
	"github.com/skerry-io/skerry/internal/config"
	"github.com/skerry-io/skerry/internal/fault"
)

const (
	// The first elements of the names of files: below the server's directory, and beside the config file.
	serverRoot = "server"
	etcRoot    = "etc"
	configName = "config.yaml"
	// authorityName is the certificate in the tls directory that a cluster is known by.
	authorityName = "server-ca.crt"
	// settingsName is the file in the server's directory with the settings that the cluster counts on.
	settingsName = "settings.yaml"
	// registriesName is the file beside the config file that says where images come from.
	registriesName = "registries.yaml"
	// longestFile and mostFiles bound what users put beside the datastore, in bytes; package backup reads no more.
	longestFile = 32 << 20
	mostFiles   = 60 << 20
)

// userFolders are the folders of the server's directory that a user fills.
func userFolders(p config.Paths) []string { return []string{p.ManifestsDir(), p.StaticDir()} }

// belongs says that a file of a backup may be written: nothing that a backup could hold besides has a meaning here.
func belongs(name string) bool {
	p := config.Place{}.Paths() // names do not say where the data directory is
	if rest, ok := strings.CutPrefix(name, etcRoot+"/"); ok {
		dir, file := path.Split(rest)
		return dir == "" && (file == configName || file == registriesName) ||
			dir == configName+config.ConfigDropInSuffix+"/" && strings.HasSuffix(file, ".yaml")
	}
	rest, ok := strings.CutPrefix(name, serverRoot+"/")
	if !ok {
		return false
	}
	for _, folder := range userFolders(p) {
		if strings.HasPrefix(filepath.Join(p.ServerDir(), rest), folder+"/") {
			return true
		}
	}
	return slices.Contains(p.Shared(), rest) || rest == settingsName
}

// gather reads the files of a cluster: those that all its servers have in common, what the user gave it to apply, and how this
// server is set up, with what it was told by flags and variables.
func gather(p config.Paths, configFile string) ([]backup.File, error) {
	g := &gathering{}
	for _, name := range p.Shared() {
		g.take(serverRoot+"/"+name, filepath.Join(p.ServerDir(), name))
	}
	for _, folder := range userFolders(p) {
		rel, err := filepath.Rel(p.ServerDir(), folder)
		if err != nil {
			return nil, err
		}
		g.folder(serverRoot+"/"+rel, folder)
	}
	g.take(serverRoot+"/"+settingsName, p.CommonFile())
	g.etc(configFile)
	return g.found()
}

type gathering struct {
	files []backup.File
	size  int64
	err   error
}

// etc takes what an operator has written.
func (g *gathering) etc(configFile string) {
	g.take(etcRoot+"/"+configName, configFile)
	g.folder(etcRoot+"/"+configName+config.ConfigDropInSuffix, configFile+config.ConfigDropInSuffix)
	g.take(etcRoot+"/"+registriesName, filepath.Join(filepath.Dir(configFile), registriesName))
}

func (g *gathering) found() ([]backup.File, error) {
	return slices.DeleteFunc(g.files, func(f backup.File) bool { return !belongs(f.Name) }), g.err
}

// folder takes all files below a folder, which need not be there. A link counts as the file it leads to.
func (g *gathering) folder(name, folder string) {
	if g.err != nil {
		return
	}
	err := filepath.WalkDir(folder, func(at string, entry fs.DirEntry, err error) error {
		if absent(err) {
			return nil
		}
		if err != nil || entry.IsDir() {
			return err
		}
		rel, err := filepath.Rel(folder, at)
		if err != nil {
			return err
		}
		g.take(name+"/"+filepath.ToSlash(rel), at)
		return g.err
	})
	g.err = errors.Join(g.err, err)
}

// absent says that there is no such file, nor a directory that could hold it.
func absent(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) }

// take takes one file, which need not be there.
func (g *gathering) take(name, at string) {
	if g.err != nil {
		return
	}
	info, err := os.Stat(at)
	if absent(err) || err == nil && !info.Mode().IsRegular() {
		return
	}
	if err == nil && (info.Size() > longestFile || g.size+info.Size() > mostFiles) {
		g.err = fault.New("take %s into the backup: it has %d bytes, and all files together may have %d", at, info.Size(), mostFiles).
			Fix("keep it elsewhere")
		return
	}
	var data []byte
	if err == nil {
		data, err = os.ReadFile(at)
	}
	if err != nil {
		g.err = fault.New("read what belongs to the cluster").Because(err).Fix("run the command as root")
		return
	}
	g.size += int64(len(data))
	g.files = append(g.files, backup.File{Name: name, Mode: info.Mode().Perm(), Data: data})
}
