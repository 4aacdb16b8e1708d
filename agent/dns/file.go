package dns

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"
)

// lookAfter is how soon a file is looked at again that the kernel cannot tell of.
const lookAfter = time.Minute

// etc is where the file is that says which file counts.
const etc = "/etc"

// followFile wakes when the file, or what stands for it, may have changed, until ctx ends.
func followFile(ctx context.Context, file func() string, wake func(), log *slog.Logger) {
	warned := false
	for ctx.Err() == nil {
		err := notice(ctx, file, wake)
		if ctx.Err() != nil {
			return
		}
		if err != nil && !warned {
			warned = true
			log.Warn("the kernel tells nothing of changes to the host's DNS servers, so they are looked at once a minute; "+
				"to cure: raise sysctl fs.inotify.max_user_instances and fs.inotify.max_user_watches", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(lookAfter):
			wake()
		}
	}
}

// notice wakes until ctx ends or the kernel does not serve. Folders are watched, as files are replaced.
func notice(ctx context.Context, file func() string, wake func()) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return err
	}
	defer w.Close()
	for {
		names := chainOf(file())
		for _, name := range names {
			if err := w.Add(filepath.Dir(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		wake() // what came before the watch stood
		if err := until(ctx, w, names); err != nil || ctx.Err() != nil {
			return err
		}
	}
}

// until waits for a change of one of the names.
func until(ctx context.Context, w *fsnotify.Watcher, names []string) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case event, open := <-w.Events:
			if !open {
				return fsnotify.ErrClosed
			}
			if slices.Contains(names, event.Name) && event.Op != fsnotify.Chmod {
				return nil
			}
		case err, open := <-w.Errors:
			if !open {
				return fsnotify.ErrClosed
			}
			if !errors.Is(err, fsnotify.ErrEventOverflow) {
				return err
			}
			return nil // something was missed
		}
	}
}

// chainOf are the file, all that symbolic links lead to, and the host's own file, which may become the one that counts.
func chainOf(file string) []string {
	names := []string{filepath.Join(etc, "resolv.conf")}
	for next := file; next != "" && !slices.Contains(names[1:], next) && len(names) < 10; {
		names = append(names, next)
		to, err := os.Readlink(next)
		if err != nil {
			break
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(next), to)
		}
		next = filepath.Clean(to)
	}
	return names
}
