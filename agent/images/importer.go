package images

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/skerry-io/skerry/internal/fault"
)

// Config is what the importer needs to know.
type Config struct {
	Socket      string    // where containerd listens
	Dir         string    // the archives; made when missing
	StateFile   string    // remembers what was imported; its directory is made when missing
	Snapshotter string    // what images are unpacked into, for example "overlayfs"
	Builtin     []Builtin // images made of programs; imported in this order, before any archive

	// DiscardLayers lets containerd drop the packed layers once they are unpacked: half the disk space, but such an image
	// cannot be exported or unpacked into a second snapshotter; changing the snapshotter imports its archive again.
	DiscardLayers bool

	// Patience is how long readiness waits for archives; what is left is imported afterwards. Zero means 3 seconds.
	Patience time.Duration

	Log *slog.Logger
}

// Problem is an archive that could not be imported.
type Problem struct {
	File  string    // full path
	Size  int64     // bytes, when it was tried
	Since time.Time // when this problem was first met
	Err   error     // what, why and cure
}

// Importer imports what Config names. Use New.
type Importer struct {
	config Config
	dial   func() (store, error)
	notify func() (notifier, error)

	// work is held through an import; it guards the state file and everything of a pass.
	work  sync.Mutex
	state *state
	seen  map[string]*sighting

	// mu guards problems. It is never held while waiting.
	mu       sync.Mutex
	problems map[string]Problem // by file name
}

// New prepares an importer; nothing is touched before Run or ImportBuiltins.
func New(c Config) *Importer {
	c.Patience = cmp.Or(c.Patience, 3*time.Second)
	return &Importer{
		config:   c,
		dial:     func() (store, error) { return connect(c) },
		notify:   inotify,
		seen:     map[string]*sighting{},
		problems: map[string]Problem{},
	}
}

// Run imports the built-in images, then what lies in the directory, then what comes into it, until ctx ends.
// It calls ready when the runtime has all of the first two, or has the built-in ones and Patience is over. It returns
// early only when it cannot work at all: no built-in image, no directory.
func (i *Importer) Run(ctx context.Context, ready func()) error {
	if err := os.MkdirAll(i.config.Dir, 0o755); err != nil {
		return fault.New("make the images directory").Because(err).Fix("check what stands at %s", i.config.Dir)
	}
	to, err := i.dial()
	if err != nil {
		return err
	}
	defer to.Close()
	if err := i.builtins(ctx, to); err != nil {
		return ended(ctx, err)
	}

	wake := make(chan struct{}, 1)
	var watching sync.WaitGroup
	defer watching.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	watching.Go(func() { i.watch(ctx, wake) })

	late := time.AfterFunc(i.config.Patience, ready)
	defer late.Stop()
	for {
		again := i.pass(ctx, to)
		if ctx.Err() != nil {
			return nil
		}
		if !i.waiting() {
			ready()
		}
		await(ctx, wake, again)
	}
}

// ImportBuiltins brings the built-in images into the runtime and returns when pods can use them. It is for whoever
// wants them before Run, for example as soon as containerd answers; Run then finds them done.
func (i *Importer) ImportBuiltins(ctx context.Context) error {
	to, err := i.dial()
	if err != nil {
		return err
	}
	defer to.Close()
	return i.builtins(ctx, to)
}

// Problems lists the archives that could not be imported, by file name. It may be called at any time.
func (i *Importer) Problems() []Problem {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.SortedFunc(maps.Values(i.problems), func(a, b Problem) int { return cmp.Compare(a.File, b.File) })
}

// await returns when woken, when the time has come (never for zero), or when ctx ends.
func await(ctx context.Context, wake <-chan struct{}, again time.Duration) {
	var due <-chan time.Time
	if again > 0 {
		timer := time.NewTimer(again)
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-wake:
	case <-due:
	case <-ctx.Done():
	}
}

// ended hides the error of work that was told to stop.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}
