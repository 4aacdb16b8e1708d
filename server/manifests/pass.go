package manifests

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// pass looks at the folder and does what is due. It gives the time of the next one, zero when only a change brings it.
func (k *Keeper) pass(ctx context.Context) time.Time {
	list := k.look()
	k.publish()
	now := time.Now()
	var due []*manifest
	for _, m := range k.sorted() {
		if !m.due.IsZero() && !m.due.After(now) {
			due = append(due, m)
		}
	}
	if len(due) > 0 || !k.opened {
		err := k.work(ctx, list, due)
		k.complain(ctx, err)
		if err != nil {
			return now.Add(writeLimit)
		}
	}
	k.tell(ctx)
	k.publish()
	return k.next()
}

// complain logs once why nothing can be done.
func (k *Keeper) complain(ctx context.Context, err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != "" && text != k.complaint && ctx.Err() == nil {
		k.log.Warn("manifests are not applied yet; tried again every second", "err", err)
	}
	k.complaint = text
}

// look takes in what is in the folder, and has the kernel tell of the next change.
func (k *Keeper) look() listing {
	list := scan(k.config.Dir)
	for range 3 { // what came before a new folder was watched is seen by looking again
		if !k.watcher.follow(list.folders) {
			break
		}
		list = scan(k.config.Dir)
	}
	k.see(list)
	return list
}

func (k *Keeper) see(list listing) {
	now := time.Now()
	for _, e := range list.entries {
		if k.files[e.path] == nil {
			k.files[e.path] = &manifest{path: e.path}
		}
		k.files[e.path].see(e, now)
	}
	for path, m := range k.files {
		if e, there := list.holds(path); !there {
			m.miss(now)
		} else if e.path != path {
			m.see(e, now)
		}
	}
}

// next is when the first file is due.
func (k *Keeper) next() (first time.Time) {
	for _, m := range k.files {
		if !m.due.IsZero() && (first.IsZero() || m.due.Before(first)) {
			first = m.due
		}
	}
	return first
}

// work carries out what is due. An error means that nothing could be done.
func (k *Keeper) work(ctx context.Context, list listing, due []*manifest) error {
	b, err := openBook(ctx, k.clients.Core, k.config.Server)
	if err != nil {
		return err
	}
	if !k.opened {
		return k.begin(b, list)
	}
	r := &round{Keeper: k, book: b, kinds: kinds{client: k.clients.Core.Discovery(), asked: map[string]answer{}},
		read: map[*manifest][]*object{}, errs: map[*manifest][]error{}, dead: map[*manifest]bool{}}
	r.take(due)
	r.resolve(ctx)
	r.apply(ctx)
	for _, m := range k.sorted() {
		if ctx.Err() != nil {
			return nil
		}
		if _, read := r.read[m]; read {
			r.finish(ctx, m)
		}
	}
	for _, m := range due {
		if m.gone && ctx.Err() == nil {
			r.bury(ctx, m)
		}
	}
	return nil
}

// begin takes in what is remembered of files, so that those that went meanwhile are missed. It makes the folder, unless
// objects came from it once: it may be a disk that is not there today.
func (k *Keeper) begin(b *book, list listing) error {
	if _, err := os.Stat(k.config.Dir); errors.Is(err, os.ErrNotExist) && len(b.own) == 0 {
		if err := os.MkdirAll(k.config.Dir, 0o700); err != nil {
			return err
		}
		list = k.look()
	}
	for path := range b.own {
		if k.files[path] == nil {
			k.files[path] = &manifest{path: path}
		}
	}
	k.opened = true
	k.see(list)
	return nil
}

// round is one pass that has something to do. It holds what is dropped afterwards.
type round struct {
	*Keeper
	book  *book
	kinds kinds
	read  map[*manifest][]*object // those that could be read
	errs  map[*manifest][]error   // what went wrong with their objects
	dead  map[*manifest]bool      // the API server did not answer for one of its objects
}

// take reads the files that are due. When one has changed, those that wait for something are looked at too: it may have come.
func (r *round) take(due []*manifest) {
	changed := slices.ContainsFunc(due, func(m *manifest) bool { return m.gone || !m.known })
	for _, m := range r.sorted() {
		waits := m.known && m.phase != Applied && !m.due.IsZero() && !m.gone
		if m.gone || !slices.Contains(due, m) && !(changed && waits) {
			continue
		}
		now := time.Now()
		objects, err := read(m.entry)
		switch {
		case errors.Is(err, errUnsettled):
			m.become(Waiting, err, now)
			m.again(now, writeLimit)
			continue
		case err != nil:
			m.become(Failed, err, now)
			m.known = false
			m.rest()
			continue
		}
		for _, o := range objects {
			o.file = m
		}
		r.read[m] = objects
	}
}

// fail notes what is wrong with an object.
func (r *round) fail(o *object, err error) {
	r.errs[o.file] = append(r.errs[o.file], fmt.Errorf("line %d: %s: %w", o.line, o.ref, err))
}
