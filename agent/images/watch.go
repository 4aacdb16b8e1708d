package images

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// pollTime is how often the directory is looked at when the kernel does not tell of changes.
const pollTime = 5 * time.Second

// notifier tells of changes in directories.
type notifier interface {
	Add(dir string) error
	Changes() <-chan fsnotify.Event
	Errors() <-chan error
	Close() error
}

type kernel struct{ *fsnotify.Watcher }

func (k kernel) Changes() <-chan fsnotify.Event { return k.Watcher.Events }
func (k kernel) Errors() <-chan error           { return k.Watcher.Errors }

func inotify() (notifier, error) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	return kernel{w}, nil
}

// watch wakes the importer when something in the directory changed, or every few seconds where the kernel cannot tell.
func (i *Importer) watch(ctx context.Context, wake chan<- struct{}) {
	warned := false
	for ctx.Err() == nil {
		err := i.listen(ctx, wake)
		if ctx.Err() != nil {
			return
		}
		if err != nil && !warned && !errors.Is(err, fs.ErrNotExist) { // a directory that went may come back
			warned = true
			i.config.Log.Warn("no notice of new image archives from the kernel, looking every few seconds instead; "+
				"to cure: raise sysctl fs.inotify.max_user_instances and fs.inotify.max_user_watches", "dir", i.config.Dir, "error", err)
		}
		await(ctx, nil, pollTime)
		poke(wake)
	}
}

// listen wakes until ctx ends, the directory goes away (nil), or the kernel does not serve.
func (i *Importer) listen(ctx context.Context, wake chan<- struct{}) error {
	n, err := i.notify()
	if err != nil {
		return err
	}
	defer n.Close()
	if err := n.Add(i.config.Dir); err != nil {
		return err
	}
	poke(wake) // what came before the watch stood
	for {
		select {
		case <-ctx.Done():
			return nil
		case event, open := <-n.Changes():
			if !open || gone(event, i.config.Dir) {
				return nil
			}
			if isArchive(filepath.Base(event.Name)) {
				poke(wake)
			}
		case err, open := <-n.Errors():
			if !open {
				return nil
			}
			i.config.Log.Debug("notices of image archives lost", "error", err)
			poke(wake)
		}
	}
}

// gone says that the directory itself was removed or renamed.
func gone(event fsnotify.Event, dir string) bool {
	return filepath.Clean(event.Name) == filepath.Clean(dir) && (event.Has(fsnotify.Remove) || event.Has(fsnotify.Rename))
}

// poke wakes the reader of a channel of one, unless it will wake anyway.
func poke(wake chan<- struct{}) {
	select {
	case wake <- struct{}{}:
	default:
	}
}
