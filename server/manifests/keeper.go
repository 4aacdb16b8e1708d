package manifests

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
)

// Config is what a Keeper needs to know.
type Config struct {
	Dir    string // the user's folder; made when missing
	Server string // this server's name; each server keeps its own records
	Log    *slog.Logger
}

// Keeper keeps the cluster as the files in a folder say. Use New.
type Keeper struct {
	config  Config
	log     *slog.Logger
	clients Clients
	watcher *watcher
	files   map[string]*manifest // by path; only Run's goroutine uses them
	opened  bool                 // the records were read, so files knows what is gone

	complaint string // why the last pass could do nothing

	mu     sync.Mutex // mu guards states
	states []State
}

// New prepares a Keeper; nothing is touched before Run.
func New(c Config) *Keeper {
	return &Keeper{config: c, log: c.Log}
}

// Run applies what lies in the folder, and then what changes there, until ctx ends. It calls ready at once, as nothing
// else waits for the user's manifests. Called again it begins anew.
func (k *Keeper) Run(ctx context.Context, c Clients, ready func()) error {
	k.clients, k.watcher, k.files, k.opened = c, newWatcher(k.log), map[string]*manifest{}, false
	ready()
	defer k.watcher.close()
	for ctx.Err() == nil {
		next := k.pass(ctx)
		k.watcher.wait(ctx, next)
	}
	return nil
}

// sorted gives the files by path.
func (k *Keeper) sorted() []*manifest {
	return slices.SortedFunc(maps.Values(k.files), func(a, b *manifest) int { return cmp.Compare(a.path, b.path) })
}
