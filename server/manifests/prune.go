package manifests

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
)

// prune removes what a file brought and no longer holds, and remembers what is left. Errors go to the file's.
func (r *round) prune(ctx context.Context, m *manifest, holds []ref) {
	record, keep := r.book.of(m.path), map[key]bool{}
	for _, held := range holds {
		keep[held.key()] = true
	}
	old := slices.Clone(record.refs)
	slices.SortStableFunc(old, func(a, b ref) int { return cmp.Compare(rank(b), rank(a)) })
	left := slices.Clone(holds)
	for _, one := range old {
		if keep[one.key()] {
			continue
		}
		if err := r.drop(ctx, m, one); err != nil {
			left = append(left, one)
			r.errs[m] = append(r.errs[m], fmt.Errorf("remove %s: %w", one, err))
		}
	}
	if m.gone && len(left) == 0 || ctx.Err() != nil {
		return
	}
	if err := r.book.keep(ctx, record, left); err != nil {
		r.errs[m] = append(r.errs[m], err)
	}
}

// drop removes one object, unless it is somebody else's by now.
func (r *round) drop(ctx context.Context, m *manifest, one ref) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if other := r.book.others[one.key()]; other != nil {
		r.log.Info("object kept, as another server's manifest holds it", "object", one, "file", m.path, "server", other.server, "record", other.stored.Name)
		return nil
	}
	deleted, err := r.clients.remove(ctx, one, id(m.path))
	if deleted {
		r.log.Info("object removed, as its manifest no longer holds it", "object", one, "file", m.path)
	}
	return err
}

// bury removes what a file brought that is gone, and then all memory of it.
func (r *round) bury(ctx context.Context, m *manifest) {
	r.prune(ctx, m, nil)
	if ctx.Err() != nil {
		return
	}
	errs, now := r.errs[m], time.Now()
	if len(errs) == 0 {
		if err := r.book.forget(ctx, r.book.of(m.path)); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 {
		m.become(Removing, brief(errs), now)
		m.again(now, waitLimit)
		return
	}
	delete(r.files, m.path)
}
