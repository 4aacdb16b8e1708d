package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/payload"
)

// program is the one that the launcher becomes; its helpers are beside it.
const program = "bin/skerry"

func main() {
	if err := launch(os.Args, os.Getenv); err != nil {
		fmt.Fprintln(os.Stderr, "skerry:", err)
		os.Exit(1)
	}
}

// launch does not return when all is well.
func launch(args []string, env func(string) string) error {
	self, err := os.Executable()
	if err != nil {
		return fault.New("find my own file").Because(err).Fix("mount /proc")
	}
	p, err := payload.Open(self)
	if err != nil {
		return fault.New("read the programs out of this file").Because(err).Fix("this copy is incomplete; download or build it again")
	}
	defer p.Close()
	dataDir, err := dataDir(args, env)
	if err != nil {
		return err
	}
	begin := func() (string, error) { return prepare(p, stores(dataDir, os.Geteuid(), env), asked(args)) }
	place, err := begin()
	if err != nil {
		return err
	}
	err = syscall.Exec(place, args, os.Environ())
	if errors.Is(err, fs.ErrNotExist) { // a start of another version has just removed it as outdated
		if place, err = begin(); err != nil {
			return err
		}
		err = syscall.Exec(place, args, os.Environ())
	}
	return explainExec(place, err)
}

// asked is the program that this call needs besides, "" for most.
func asked(args []string) string {
	if word := foreign(args); word == "crictl" {
		return filepath.Join(filepath.Dir(program), word)
	}
	return ""
}

// prepare gives a path to run the program by: from the first store that can be used, else from memory. Besides, the store gets
// the program that is asked for; where it may not be written there, the program itself says that it is missing.
func prepare(p *payload.Payload, stores []payload.Store, besides string) (string, error) {
	var first error
	for _, s := range stores {
		dir, err := s.Prepare(p)
		if err == nil {
			if besides != "" {
				err = s.Add(p, besides)
			}
			if err == nil || forbidden(err) {
				return filepath.Join(dir, program), nil
			}
		}
		if !forbidden(err) {
			return "", err
		}
		if first == nil {
			first = err
		}
	}
	loaded, err := p.Load(program)
	if err != nil {
		return "", errors.Join(first, err)
	}
	// The file is not closed: it has to live until the exec, which closes it.
	return "/proc/self/fd/" + strconv.Itoa(int(loaded.Fd())), nil
}

// forbidden says that another place may do where this one does not.
func forbidden(err error) bool {
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS)
}

// stores are the places to unpack to, the best first. Root never uses a cache: its HOME may be that of the user who called sudo.
func stores(dataDir string, uid int, env func(string) string) []payload.Store {
	all := []payload.Store{{Dir: filepath.Join(dataDir, "data")}}
	if uid == 0 {
		return all
	}
	if cache := env("XDG_CACHE_HOME"); filepath.IsAbs(cache) {
		return append(all, payload.Store{Dir: filepath.Join(cache, "skerry", "data")})
	}
	if home := env("HOME"); filepath.IsAbs(home) {
		return append(all, payload.Store{Dir: filepath.Join(home, ".cache", "skerry", "data")})
	}
	return all
}

func explainExec(path string, err error) error {
	f := fault.New("run %s", path).Because(err)
	switch {
	case errors.Is(err, syscall.EACCES):
		return f.Fix("that file system is mounted noexec; give a directory on another one with --data-dir")
	case errors.Is(err, syscall.ENOEXEC):
		return f.Fix("this is the build for another kind of processor; `uname -m` says which one is needed")
	}
	return f
}
