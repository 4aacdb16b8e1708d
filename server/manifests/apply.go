package manifests

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// resolve finds out where in the API the objects are, and whose they are. What cannot be applied is noted and left out.
func (r *round) resolve(ctx context.Context) {
	placed := map[*object]bool{}
	for _, m := range r.sorted() {
		objects, read := r.read[m]
		if !read {
			continue
		}
		for _, o := range objects {
			if err := r.kinds.place(ctx, o); err != nil {
				r.fail(o, err)
				continue
			}
			placed[o] = true
		}
		m.wants, m.known = refsOf(objects), true
	}
	c := claim(r.book, r.sorted(), r.read)
	for _, m := range r.sorted() {
		if _, read := r.read[m]; !read {
			continue
		}
		r.read[m] = slices.DeleteFunc(r.read[m], func(o *object) bool {
			if !placed[o] {
				return true
			}
			err := c.check(o)
			if err != nil {
				r.fail(o, err)
			}
			return err != nil
		})
	}
}

func refsOf(objects []*object) []ref {
	refs := make([]ref, len(objects))
	for i, o := range objects {
		refs[i] = o.ref
	}
	return refs
}

// apply brings the objects of all files into the cluster, those first that others need. What a file is about to bring is
// remembered before: a crash in between leaves nothing that nobody would prune.
func (r *round) apply(ctx context.Context) {
	var all []*object
	for _, m := range r.sorted() {
		objects := r.read[m]
		if len(objects) == 0 {
			continue
		}
		record := r.book.of(m.path)
		if err := r.book.keep(ctx, record, merge(record.refs, refsOf(objects))); err != nil {
			r.errs[m] = append(r.errs[m], err)
			continue
		}
		all = append(all, objects...)
	}
	slices.SortStableFunc(all, func(a, b *object) int { return cmp.Compare(rank(a.ref), rank(b.ref)) })
	for _, o := range all {
		if ctx.Err() != nil {
			return
		}
		if r.dead[o.file] {
			continue
		}
		if err := r.clients.apply(ctx, o); err != nil {
			r.fail(o, err)
			r.dead[o.file] = unanswered(err)
		}
	}
}

// merge is all of one list, and what the other has more.
func merge(refs, more []ref) []ref {
	have := map[key]bool{}
	merged := make([]ref, 0, len(more))
	for _, r := range slices.Concat(more, refs) { // of two versions of an object the newer reference counts
		if !have[r.key()] {
			have[r.key()] = true
			merged = append(merged, r)
		}
	}
	return merged
}

// finish prunes what a file no longer holds, if all that it holds is applied, and says how it went.
func (r *round) finish(ctx context.Context, m *manifest) {
	now := time.Now()
	if len(r.errs[m]) == 0 {
		r.prune(ctx, m, m.wants)
	}
	if ctx.Err() != nil {
		return
	}
	errs := r.errs[m]
	if len(errs) == 0 {
		if m.phase != Applied {
			r.log.Info("manifest applied", "file", m.path, "objects", len(m.wants))
		}
		m.become(Applied, nil, now)
		m.rest()
		return
	}
	if r.dead[m] {
		errs = append(errs, errNotTried)
	}
	phase, limit := Waiting, waitLimit
	if !allPassing(errs) {
		phase, limit = Failed, refuseLimit
	}
	m.become(phase, brief(errs), now)
	m.again(now, limit)
}

func allPassing(errs []error) bool {
	return !slices.ContainsFunc(errs, func(err error) bool { return !passing(err) })
}

// brief joins the first errors of a file.
func brief(errs []error) error {
	const enough = 3
	if more := len(errs) - enough; more > 0 {
		errs = append(slices.Clone(errs[:enough]), fmt.Errorf("and %d more", more))
	}
	return several(errs)
}

// several is errors in one line.
type several []error

func (s several) Error() string {
	texts := make([]string, len(s))
	for i, err := range s {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

func (s several) Unwrap() []error { return s }
