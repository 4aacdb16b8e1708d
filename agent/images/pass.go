package images

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"time"

	"github.com/skerry-io/skerry/internal/fault"
)

const (
	settleTime = 300 * time.Millisecond // unchanged for so long: no one is writing it
	oldAge     = 2 * time.Second        // last written so long ago: complete at first sight
	graceTime  = 5 * time.Second        // a file cut short may still grow for so long before it is called bad
	retryMin   = 5 * time.Second
	retryMax   = 5 * time.Minute
)

// sighting is what is known of one version (size and time) of a file in the directory.
type sighting struct {
	file   file
	since  time.Time // first seen like this
	due    time.Time // not to be tried before
	tries  int       // failed ones
	done   bool      // imported, or bad for good
	failed bool      // tried at least once
}

// pass looks at every archive once and says when to look again without being woken; zero means only when woken.
func (i *Importer) pass(ctx context.Context, to store) time.Duration {
	i.work.Lock()
	defer i.work.Unlock()
	files, err := list(i.config.Dir)
	if err != nil {
		i.config.Log.Warn("images directory not read", "dir", i.config.Dir, "error", err)
		return retryMin
	}
	i.forget(files)
	var again time.Duration
	for _, f := range files {
		wait := i.visit(ctx, to, f)
		if ctx.Err() != nil {
			return 0
		}
		if wait > 0 && (again == 0 || wait < again) {
			again = wait
		}
	}
	return again
}

// forget drops what is known of files that are gone. Their images stay, and stay pinned.
func (i *Importer) forget(files []file) {
	gone := func(name string) bool {
		return !slices.ContainsFunc(files, func(f file) bool { return f.name == name })
	}
	for name := range i.seen {
		if gone(name) {
			delete(i.seen, name)
			i.solved(name)
		}
	}
}

// visit tries one archive if it is its time, and says how long to wait before the next visit.
func (i *Importer) visit(ctx context.Context, to store, f file) time.Duration {
	now := time.Now()
	s := i.seen[f.name]
	if s == nil || !s.file.same(f) {
		s = &sighting{file: f, since: now, due: now}
		if now.Sub(f.mtime) < oldAge && !i.memory().Files[f.name].sameStat(f) {
			s.due = now.Add(settleTime)
		}
		i.seen[f.name] = s
	}
	if s.done {
		return 0
	}
	if wait := s.due.Sub(now); wait > 0 {
		return wait
	}
	err := i.take(ctx, to, f)
	if ctx.Err() != nil {
		return 0
	}
	return i.judge(s, err)
}

// judge notes how a try ended and says how long to wait before the next.
func (i *Importer) judge(s *sighting, err error) time.Duration {
	var flaw *flaw
	switch {
	case err == nil:
		s.done = true
		i.solved(s.file.name)
		return 0
	case errors.As(err, &flaw) && flaw.cut && time.Since(s.since) < graceTime && time.Since(s.file.mtime) < graceTime:
		s.failed = true
		s.due = time.Now().Add(time.Second)
		return time.Second
	case flaw != nil:
		s.done, s.failed = true, true
		i.report(s.file, fault.New("import %s", s.file.path).Because(err).Fix("%s", flaw.cure))
		return 0
	}
	wait := min(retryMin<<min(s.tries, 10), retryMax)
	s.tries++
	s.failed = true
	s.due = time.Now().Add(wait)
	i.report(s.file, fault.New("import %s", s.file.path).Because(err).Fix("%s; it is tried again by itself", cureOf(err)))
	return wait
}

// waiting says that an archive has not had its first try yet.
func (i *Importer) waiting() bool {
	i.work.Lock()
	defer i.work.Unlock()
	for _, s := range i.seen {
		if !s.done && !s.failed {
			return true
		}
	}
	return false
}

// report keeps a problem for the status and logs it, once for the same content and cause.
func (i *Importer) report(f file, err error) {
	i.mu.Lock()
	old, known := i.problems[f.name]
	p := Problem{File: f.path, Size: f.size, Since: time.Now(), Err: err}
	repeated := known && old.Size == f.size && old.Err.Error() == err.Error()
	if repeated {
		p.Since = old.Since
	}
	i.problems[f.name] = p
	i.mu.Unlock()
	if !repeated {
		i.config.Log.Warn("image archive not imported", "file", f.path, "error", err)
	}
}

func (i *Importer) solved(name string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.problems, name)
}

// take imports an archive unless its images are there already.
func (i *Importer) take(ctx context.Context, to store, f file) error {
	known := i.memory()
	old, met := known.Files[f.name]
	if met && old.Size == f.size {
		same, err := i.unchanged(ctx, to, old, f)
		if err != nil {
			return err
		}
		if same {
			i.config.Log.Debug("image archive unchanged", "file", f.path)
			return nil
		}
	}
	began := time.Now()
	sum, imported, err := importFile(ctx, to, f.path)
	if err != nil {
		return err
	}
	known.Files[f.name] = record{Path: f.path, Size: f.size, Time: f.mtime, Inode: f.ctime, SHA256: sum, Images: imported}
	i.config.Log.Info("image archive imported", "file", f.path, "images", names(imported), "took", time.Since(began).Round(time.Millisecond))
	if err := to.Unpin(ctx, known.orphans(old.Images)); err != nil {
		i.config.Log.Warn("images of a replaced archive stay pinned", "file", f.path, "error", err)
	}
	i.remember()
	return nil
}

// unchanged says that the file has the content it had when it was imported, and that its images are still there.
func (i *Importer) unchanged(ctx context.Context, to store, old record, f file) (bool, error) {
	if !old.sameStat(f) {
		sum, err := hashFile(ctx, f.path)
		if err != nil || sum != old.SHA256 {
			return false, err
		}
	}
	here, err := to.Has(ctx, old.Images)
	if here && !old.sameStat(f) {
		old.Time, old.Inode = f.mtime, f.ctime
		i.memory().Files[f.name] = old
		i.remember()
	}
	return here, err
}

// importFile brings one archive into the runtime and gives the SHA-256 of the file.
func importFile(ctx context.Context, to store, path string) (sum string, imported []Image, err error) {
	a, err := openArchive(ctx, path)
	if err != nil {
		return "", nil, err
	}
	defer a.Close()
	whole := func() (err error) {
		sum, err = a.finish()
		return err
	}
	imported, err = to.Import(ctx, a, whole)
	if err != nil {
		return "", nil, a.blame(err)
	}
	to.Settle(ctx, imported)
	return sum, imported, nil
}

// builtins brings the built-in images in, in their order.
func (i *Importer) builtins(ctx context.Context, to store) error {
	i.work.Lock()
	defer i.work.Unlock()
	for _, b := range i.config.Builtin {
		if err := i.builtin(ctx, to, b); err != nil {
			return fault.New("make the image %s of %s", b.Name, b.Binary).Because(err).Fix("%s", cureOf(err))
		}
	}
	return nil
}

func (i *Importer) builtin(ctx context.Context, to store, b Builtin) error {
	known := i.memory()
	now, err := b.record()
	if err != nil {
		return err
	}
	old, met := known.Builtins[b.Name]
	if met && old.sameFile(now) && old.SHA256 == now.SHA256 {
		if here, err := to.Has(ctx, old.Images); here || err != nil {
			return err
		}
	}
	if now.Images, err = to.Build(ctx, b); err != nil {
		return err
	}
	to.Settle(ctx, now.Images)
	known.Builtins[b.Name] = now
	if err := to.Unpin(ctx, known.orphans(old.Images)); err != nil {
		i.config.Log.Warn("an earlier built-in image stays pinned", "image", b.Name, "error", err)
	}
	i.remember()
	return nil
}

// memory is what was imported, read once. The caller holds work.
func (i *Importer) memory() *state {
	if i.state == nil {
		i.state = loadState(i.config.StateFile)
	}
	return i.state
}

// remember saves it. A loss costs one import too many, never one too few, so it is only logged.
func (i *Importer) remember() {
	if err := i.state.save(i.config.StateFile); err != nil {
		i.config.Log.Warn("imported images not noted, they are imported again at the next start",
			"file", filepath.Base(i.config.StateFile), "error", err)
	}
}
