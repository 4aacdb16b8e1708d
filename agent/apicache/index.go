package apicache

import (
	"hash/maphash"
)

// ref names an object.
type ref struct {
	Kind      string `json:"k"` // group/resource
	Namespace string `json:"ns,omitempty"`
	Name      string `json:"n"`
}

// viewKey is what a user asked for.
type viewKey struct {
	User   string `json:"u"`
	Path   string `json:"p"`
	Labels string `json:"l,omitempty"`
	Fields string `json:"f,omitempty"`
}

// entry is one object. Its body is in memory only until it was written.
type entry struct {
	apiVersion, kind string
	form             form
	meta             head
	sum              uint64 // of what matters of it
	local            bool   // as this node changed it, unknown to any server
	unsaved          []byte
	turn             uint32 // counts its changes
	where            spot   // on disk; zero before it was written
	size             int
	views            int // that it is in
}

// view is the answer to one question: a list, or a single object.
type view struct {
	id               uint32
	key              viewKey
	of               string // group/resource
	apiVersion, kind string // of the answer: that of the list
	version          string
	short            bool // there was no room for all of it
	members          map[ref]struct{}

	alone     bool    // the node answered from it since a server last told all of it
	next      *bundle // of a list whose pages are still arriving
	watches   int     // under way through a server
	used      int64   // when it was last asked for, in Unix seconds
	listeners map[*listener]struct{}
}

// index is the content of the cache. Cache.mu guards it.
type index struct {
	seed    maphash.Seed
	entries map[ref]*entry
	views   map[viewKey]*view
	byID    map[uint32]*view
	lastID  uint32
	live    int64 // bytes of all objects

	loading bool             // what is in no view now may be in one soon
	changed map[ref]struct{} // objects that are to be written
	notes   []note           // what else is to be written
}

func newIndex() *index {
	return &index{seed: maphash.MakeSeed(), entries: map[ref]*entry{}, views: map[viewKey]*view{}, byID: map[uint32]*view{}, changed: map[ref]struct{}{}}
}

// dirty says that something is to be written.
func (x *index) dirty() bool { return len(x.changed) > 0 || len(x.notes) > 0 }

// view gives the view of a key; with make it is made when it is not there.
func (x *index) view(key viewKey, of string) *view {
	v := x.views[key]
	if v == nil {
		x.lastID++
		v = &view{id: x.lastID, key: key, of: of, members: map[ref]struct{}{}, listeners: map[*listener]struct{}{}}
		x.add(v)
	}
	return v
}

func (x *index) add(v *view) {
	x.views[v.key], x.byID[v.id] = v, v
	x.lastID = max(x.lastID, v.id)
}

// describe has what is said of a view as a whole written.
func (x *index) describe(v *view) {
	x.notes = append(x.notes, note{View: v.id, Key: &v.key, Of: v.of, APIVersion: v.apiVersion, Kind: v.kind, Version: v.version, Short: v.short})
}

// put takes an object as a server, or with local this node, wrote it, and says whether it is new. One that says the same as
// the one that is there costs nothing.
func (x *index) put(at ref, o object, local bool) bool {
	sum := x.sumOf(at, o)
	e := x.entries[at]
	if e != nil && !local && !e.local && e.meta.UID == o.meta.UID {
		same := e.sum == sum && e.form == o.form
		if same || e.form != o.form && e.meta.Version == o.meta.Version {
			return false
		}
	}
	if e == nil {
		e = &entry{}
		x.entries[at] = e
	}
	x.live += int64(len(o.body) - e.size)
	e.apiVersion, e.kind, e.form, e.meta, e.sum, e.local, e.size = o.APIVersion, o.Kind, o.form, o.meta, sum, local, len(o.body)
	e.unsaved = append([]byte(nil), o.body...)
	e.turn++
	if !local || at.Kind != nodes { // the kubelet says all of it again after a reboot
		x.changed[at] = struct{}{}
	}
	return true
}

// sumOf is a checksum of what of an object is worth writing.
func (x *index) sumOf(at ref, o object) uint64 {
	if at.Kind == nodes {
		if text, err := material(o); err == nil {
			return maphash.Bytes(x.seed, text)
		}
	}
	return maphash.Bytes(x.seed, o.body)
}

func (x *index) join(v *view, at ref) {
	if _, there := v.members[at]; there {
		return
	}
	v.members[at] = struct{}{}
	x.entries[at].views++
	x.notes = append(x.notes, note{View: v.id, Join: &at})
}

func (x *index) leave(v *view, at ref) {
	if _, there := v.members[at]; !there {
		return
	}
	delete(v.members, at)
	x.notes = append(x.notes, note{View: v.id, Leave: &at})
	x.release(at)
}

// gone takes an object that a server does not tell any more out of a view, and of what was asked for by its name: nobody would hear there that
// it was deleted. With another UID it is there again.
func (x *index) gone(v *view, at ref, uid string) {
	for _, other := range x.views {
		if e := x.entries[at]; e != nil && e.meta.UID == uid && other.version == "" {
			x.leave(other, at)
		}
	}
	x.leave(v, at)
}

// release drops an object that is in no view any more.
func (x *index) release(at ref) {
	e := x.entries[at]
	if e.views--; e.views > 0 || x.loading {
		return
	}
	x.live -= int64(e.size)
	delete(x.entries, at)
	delete(x.changed, at)
}

// forget drops a view.
func (x *index) forget(v *view) {
	for at := range v.members {
		delete(v.members, at)
		x.release(at)
	}
	delete(x.views, v.key)
	delete(x.byID, v.id)
	x.notes = append(x.notes, note{View: v.id, Gone: true})
}

// bundle is what a list has brought so far. It holds its objects, which are in no view yet.
type bundle struct {
	refs  map[ref]struct{}
	short bool // there was no room for all of it
}

func newBundle() *bundle { return &bundle{refs: map[ref]struct{}{}} }

func (x *index) hold(b *bundle, at ref) {
	if _, there := b.refs[at]; there || x.entries[at] == nil {
		return
	}
	b.refs[at] = struct{}{}
	x.entries[at].views++
}

// give lets go of what a bundle holds.
func (x *index) give(b *bundle) {
	if b == nil {
		return
	}
	for at := range b.refs {
		delete(b.refs, at)
		x.release(at)
	}
}

// replace makes the members of a view those of a bundle.
func (x *index) replace(v *view, b *bundle) {
	for at := range v.members {
		if _, still := b.refs[at]; !still {
			x.gone(v, at, x.entries[at].meta.UID)
		}
	}
	for at := range b.refs {
		x.join(v, at)
	}
	x.give(b)
}

// saved notes that all is written.
func (x *index) saved() {
	clear(x.changed)
	x.notes = nil
}
