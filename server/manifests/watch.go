package manifests

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// quiet is how long a file must not have changed before it is read.
	quiet = 200 * time.Millisecond
	// blindTime is how often the folder is looked at where the kernel does not tell of changes.
	blindTime = 5 * time.Second
)

// watcher tells when something in the folders may have changed.
type watcher struct {
	log     *slog.Logger
	kernel  *fsnotify.Watcher // nil where there is none to be had
	blind   bool
	starved bool // it was said that the kernel does not serve
}

func newWatcher(log *slog.Logger) *watcher { return &watcher{log: log} }

func (w *watcher) close() {
	if w.kernel != nil {
		w.kernel.Close()
	}
}

// follow watches these folders and no others. It says whether one is new: what changed in it until now was not told.
func (w *watcher) follow(folders []string) (fresh bool) {
	w.blind = false
	if w.kernel == nil {
		kernel, err := fsnotify.NewWatcher()
		if err != nil {
			w.starve(err)
			return false
		}
		w.kernel = kernel
	}
	had := w.kernel.WatchList()
	for _, folder := range folders {
		switch err := w.kernel.Add(folder); {
		case errors.Is(err, fs.ErrNotExist):
			continue // its parent tells what became of it
		case err != nil:
			w.starve(err)
			continue
		}
		fresh = fresh || !slices.Contains(had, folder)
	}
	for _, folder := range had {
		if !slices.Contains(folders, folder) {
			_ = w.kernel.Remove(folder) // it may be gone
		}
	}
	return fresh
}

// starve says once that the kernel does not serve.
func (w *watcher) starve(err error) {
	w.blind = true
	if !w.starved {
		w.starved = true
		w.log.Warn("no notice of changed manifests from the kernel, looking every few seconds instead; "+
			"to cure: raise sysctl fs.inotify.max_user_instances and fs.inotify.max_user_watches", "err", err)
	}
}

// wait returns a moment after a change, when the time has come (never for zero), or when ctx ends.
func (w *watcher) wait(ctx context.Context, due time.Time) {
	if soon := time.Now().Add(blindTime); w.blind && (due.IsZero() || soon.Before(due)) {
		due = soon
	}
	var when, settled <-chan time.Time
	if !due.IsZero() {
		timer := time.NewTimer(time.Until(due))
		defer timer.Stop()
		when = timer.C
	}
	var changes <-chan fsnotify.Event
	var lost <-chan error
	if w.kernel != nil {
		changes, lost = w.kernel.Events, w.kernel.Errors
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-when:
			return
		case <-settled:
			return
		case <-changes:
		case <-lost: // too many at once
		}
		if settled == nil {
			settled = time.After(quiet)
		}
	}
}
