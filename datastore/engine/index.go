package engine

import (
	"cmp"
	"slices"
	"sort"

	"github.com/google/btree"
)

// degree of the tree of keys: nodes of this many keys cost little memory and few steps.
const degree = 32

// everything as the end of a range means all keys from its start on; it is etcd's way to say so.
const everything = "\x00"

// version is one state of a key.
type version struct {
	revision, created, lease int64
	count                    uint32
	deleted                  bool
}

// entry is a key with those of its versions that can be read, oldest first.
type entry struct {
	key      string
	versions []version
}

// last is the newest version; there is always one.
func (e *entry) last() *version { return &e.versions[len(e.versions)-1] }

// at is the place of the version that a revision sees, -1 when it sees none.
func (e *entry) at(revision int64) int {
	if e.last().revision <= revision {
		return len(e.versions) - 1
	}
	return sort.Search(len(e.versions), func(i int) bool { return e.versions[i].revision > revision }) - 1
}

// change says which key a revision changed.
type change struct {
	revision int64
	entry    *entry
}

// index knows all keys and where to find their values, but no values.
type index struct {
	keys    *btree.BTreeG[*entry]
	history []change // everything after the last pruned revision, in order
	live    int      // keys that exist
}

func newIndex() *index {
	return &index{keys: btree.NewG(degree, func(a, b *entry) bool { return a.key < b.key })}
}

func (x *index) find(key string) *entry {
	found, _ := x.keys.Get(&entry{key: key})
	return found
}

// add puts a version at the end of its key's.
func (x *index) add(r *Record) (former version) {
	e := x.find(r.Key)
	if e == nil {
		e = &entry{key: r.Key}
		x.keys.ReplaceOrInsert(e)
	} else {
		former = *e.last()
	}
	grown := e.versions
	if len(grown) == cap(grown) { // most keys have one version most of the time
		grown = make([]version, len(e.versions), len(e.versions)+1+len(e.versions)/4)
		copy(grown, e.versions)
	}
	e.versions = append(grown, version{revision: r.Revision, created: r.Created, lease: r.Lease, count: uint32(r.Version), deleted: r.Deleted})
	x.history = append(x.history, change{r.Revision, e})
	x.count(former, *e.last())
	return former
}

func (x *index) count(former, now version) {
	if former.revision > 0 && !former.deleted {
		x.live--
	}
	if now.revision > 0 && !now.deleted {
		x.live++
	}
}

// undo takes back everything after a revision.
func (x *index) undo(revision int64) {
	for len(x.history) > 0 && x.history[len(x.history)-1].revision > revision {
		e := x.history[len(x.history)-1].entry
		x.history = x.history[:len(x.history)-1]
		gone, former := *e.last(), version{}
		if e.versions = e.versions[:len(e.versions)-1]; len(e.versions) == 0 {
			x.keys.Delete(e)
		} else {
			former = *e.last()
		}
		x.count(gone, former)
	}
}

// ascend visits the keys of a range: one key when there is no end.
func (x *index) ascend(key, end string, visit func(*entry) bool) {
	switch from := (&entry{key: key}); {
	case end == "":
		if e := x.find(key); e != nil {
			visit(e)
		}
	case end == everything:
		x.keys.AscendGreaterOrEqual(from, visit)
	case key < end:
		x.keys.AscendRange(from, &entry{key: end}, visit)
	}
}

// after gives the changes of a range that are newer than a revision and not newer than another.
func (x *index) after(key, end string, revision, until int64) (found []change) {
	from := sort.Search(len(x.history), func(i int) bool { return x.history[i].revision > revision })
	for _, c := range x.history[from:] {
		if c.revision > until {
			break
		}
		if within(c.entry.key, key, end) {
			found = append(found, c)
		}
	}
	return found
}

// within says that a name is in a range; an empty range holds everything.
func within(name, key, end string) bool {
	switch end {
	case "":
		return key == "" || name == key
	case everything:
		return name >= key
	}
	return name >= key && name < end
}

// sort brings the history in order, after keys were added out of it.
func (x *index) sort() {
	slices.SortFunc(x.history, func(a, b change) int { return cmp.Compare(a.revision, b.revision) })
}

// pruned is a version that nobody can read any more.
type pruned struct {
	key      string
	revision int64
}

// prune forgets what no revision from target on can see, at most a few versions of it. It says whether that was all.
func (x *index) prune(target int64, most int) (gone []pruned, done bool) {
	i := 0
	for ; i < len(x.history) && x.history[i].revision <= target; i++ {
		if len(gone) >= most || i >= 16*most {
			break
		}
		gone = x.pruneBefore(x.history[i], gone)
	}
	done = i == len(x.history) || x.history[i].revision > target
	if x.history = x.history[i:]; len(x.history) == 0 || cap(x.history) > 4*len(x.history)+1024 {
		x.history = slices.Clone(x.history) // lets go of the memory before it
	}
	return gone, done
}

// pruneBefore forgets the versions of a key before a change of it, and the change itself if it was the key's end.
func (x *index) pruneBefore(c change, gone []pruned) []pruned {
	e := c.entry
	at := e.at(c.revision)
	if at >= 0 && e.versions[at].revision == c.revision && e.versions[at].deleted {
		at++
	}
	if at <= 0 {
		return gone
	}
	for _, v := range e.versions[:at] {
		gone = append(gone, pruned{e.key, v.revision})
	}
	if e.versions = slices.Clone(e.versions[at:]); len(e.versions) == 0 {
		x.keys.Delete(e)
	}
	return gone
}
