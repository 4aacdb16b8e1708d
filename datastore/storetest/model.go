package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/k3s-io/kine/pkg/server"

	"github.com/skerry-io/skerry/datastore"
)

// operations is how many the model check makes.
const operations = 12_000

// state is what a key was from a revision on.
type state struct {
	revision, created int64
	value             string
	gone              bool
}

// book is what a store should know, kept as plainly as can be.
type book struct {
	keys      map[string][]state
	events    []state
	names     []string // of the events
	revision  int64
	compacted int64
	may       int64 // before this revision the store may say that the past is gone
}

func (b *book) at(key string, revision int64) (state, bool) {
	var found state
	for _, s := range b.keys[key] {
		if s.revision <= revision {
			found = s
		}
	}
	return found, found.revision > 0 && !found.gone
}

// within gives the keys of a range that were there at a revision.
func (b *book) within(from, to string, revision int64) (names []string) {
	for name := range b.keys {
		if _, there := b.at(name, revision); there && name >= from && name < to {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (b *book) write(key string, s state) {
	if last, there := b.at(key, b.revision); there {
		s.created = last.created
	} else {
		s.created = s.revision
	}
	b.keys[key] = append(b.keys[key], s)
	b.events, b.names = append(b.events, s), append(b.names, key)
	b.revision = s.revision
}

// player makes random operations on a store and compares the answers with the book.
type player struct {
	*book
	t      *testing.T
	store  datastore.Store
	random *rand.Rand
	lax    bool // the store does not compact when asked
}

// model: the answers of a store to random operations are those of a map.
func model(t *testing.T, e Engine) {
	_, lax := e.Lacks["compaction"]
	dir, seed := t.TempDir(), rand.Uint64()
	t.Logf("seed %d", seed)
	p := &player{t: t, random: rand.New(rand.NewPCG(seed, 1)), lax: lax, book: &book{keys: map[string][]state{}}}
	var done func()
	for i := range operations {
		if i%4000 == 0 {
			if done != nil {
				done()
			}
			p.store, done = e.Open(t, dir)
			start(t, p.store)
			if p.reopened(); i == 0 {
				p.begin()
			}
		}
		p.step()
		if t.Failed() {
			t.Fatalf("after %d operations, at revision %d, compacted %d", i, p.revision, p.compacted)
		}
	}
	done()
}

// reopened: a restart may take the past, but nothing else.
func (p *player) reopened() {
	revision := now(p.t, p.store)
	if revision < p.revision {
		p.t.Fatalf("revision %d follows %d", revision, p.revision)
	}
	if p.revision = revision; len(p.events) > 0 {
		p.may = revision
	}
}

// begin notes what an engine puts into a new store by itself.
func (p *player) begin() {
	_, kvs, err := p.store.List(p.t.Context(), "/registry/", "/registry0", 0, 0, false)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, kv := range kvs {
		is := state{revision: kv.ModRevision, created: kv.CreateRevision, value: string(kv.Value)}
		p.keys[kv.Key] = []state{is}
		p.events, p.names = append(p.events, is), append(p.names, kv.Key)
	}
}

func (p *player) key() string {
	prefixes := []string{"/registry/pods/", "/registry/podsets/", "/registry/leases/", "/registry/events/ä/", "/registry/pods"}
	return fmt.Sprintf("%s%d", prefixes[p.random.IntN(len(prefixes))], p.random.IntN(12))
}

// past is a revision to look at: now, some time ago, or long ago.
func (p *player) past() int64 {
	switch p.random.IntN(4) {
	case 0:
		return 0
	case 1:
		return p.revision
	case 2:
		return max(1, p.revision-p.random.Int64N(50))
	}
	return 1 + p.random.Int64N(p.revision)
}

func (p *player) step() {
	switch n := p.random.IntN(1000); {
	case n < 250:
		p.create()
	case n < 500:
		p.update()
	case n < 620:
		p.remove()
	case n < 760:
		p.get()
	case n < 880:
		p.list()
	case n < 930:
		p.count()
	case n < 990:
		p.after()
	default:
		p.compact()
	}
}

func (p *player) create() {
	key, value := p.key(), fmt.Sprint(p.random.Int())
	_, there := p.at(key, p.revision)
	revision, err := p.store.Create(p.t.Context(), key, []byte(value), 0)
	switch {
	case there && (!errors.Is(err, server.ErrKeyExists) || revision != p.revision):
		p.t.Errorf("create of %s, which is there: %d, %v", key, revision, err)
	case !there && (err != nil || revision <= p.revision):
		p.t.Errorf("create of %s: %d, %v", key, revision, err)
	case !there:
		p.write(key, state{revision: revision, value: value})
	}
}

func (p *player) update() {
	key, value := p.key(), fmt.Sprint(p.random.Int())
	is, there := p.at(key, p.revision)
	was := is.revision
	if p.random.IntN(5) == 0 {
		was -= 1 + p.random.Int64N(3)
	}
	revision, kv, done, err := p.store.Update(p.t.Context(), key, []byte(value), was, 0)
	if wins := there && was == is.revision; err != nil || done != wins {
		p.t.Errorf("update of %s at %d, which is %+v: %v, %v", key, was, is, done, err)
	} else if done {
		p.write(key, state{revision: revision, value: value})
	} else if there && (kv == nil || string(kv.Value) != is.value || kv.ModRevision != is.revision) || !there && kv != nil {
		p.t.Errorf("update of %s at %d, which is %+v, says that it is %+v", key, was, is, kv)
	}
}

func (p *player) remove() {
	key := p.key()
	is, there := p.at(key, p.revision)
	was := is.revision
	switch p.random.IntN(5) {
	case 0:
		was = 0
	case 1:
		was--
	}
	if !there {
		return // what engines answer then is told apart in keys
	}
	revision, kv, done, err := p.store.Delete(p.t.Context(), key, max(was, 0))
	if wins := was == is.revision || was <= 0; err != nil || done != wins || kv == nil || string(kv.Value) != is.value {
		p.t.Errorf("delete of %s at %d, which is %+v: %+v, %v, %v", key, was, is, kv, done, err)
	} else if done {
		p.write(key, state{revision: revision, gone: true})
	}
}

// answered says whether the store answered a question about a revision. It must when the past is whole then, and must not
// when it was compacted.
func (p *player) answered(what string, revision int64, err error) bool {
	switch {
	case errors.Is(err, server.ErrCompacted):
		if revision == 0 || revision >= max(p.compacted, p.may) {
			p.t.Errorf("%s at %d says that it is compacted", what, revision)
		}
		return false
	case err != nil:
		p.t.Errorf("%s at %d: %v", what, revision, err)
		return false
	case revision > 0 && revision < p.compacted && !p.lax:
		p.t.Errorf("%s at %d is answered, and the past before %d is compacted", what, revision, p.compacted)
		return false
	}
	return true
}

func (p *player) get() {
	key, revision := p.key(), p.past()
	current, kv, err := p.store.Get(p.t.Context(), key, revision, false)
	if !p.answered("get of "+key, revision, err) {
		return
	}
	if revision == 0 {
		revision = p.revision
	}
	is, there := p.at(key, revision)
	if there != (kv != nil) || current != p.revision || there && (string(kv.Value) != is.value || kv.ModRevision != is.revision || kv.CreateRevision != is.created) {
		p.t.Errorf("get of %s at %d: %+v, want %+v; now %d, want %d", key, revision, kv, is, current, p.revision)
	}
}

// someRange is one prefix, or a part of all keys.
func (p *player) someRange() (from, to string) {
	if p.random.IntN(2) == 0 {
		return "/registry/pods/", "/registry/pods0"
	}
	from, to = p.key(), p.key()
	return min(from, to), max(from, to) + "~"
}

func (p *player) list() {
	from, to := p.someRange()
	revision, limit, bare := p.past(), int64(p.random.IntN(8)), p.random.IntN(3) == 0
	current, kvs, err := p.store.List(p.t.Context(), from, to, limit, revision, bare)
	if !p.answered("list", revision, err) {
		return
	}
	if revision == 0 {
		revision = p.revision
	}
	names := p.within(from, to, revision)
	if limit > 0 {
		names = names[:min(limit, int64(len(names)))]
	}
	var got, want []string
	for _, kv := range kvs {
		got = append(got, fmt.Sprintf("%s@%d=%s", kv.Key, kv.ModRevision, kv.Value))
	}
	for _, name := range names {
		is, _ := p.at(name, revision)
		if bare {
			is.value = ""
		}
		want = append(want, fmt.Sprintf("%s@%d=%s", name, is.revision, is.value))
	}
	if current != p.revision || !slices.Equal(got, want) {
		p.t.Errorf("list from %s to %s at %d, at most %d:\n%s\nwant\n%s", from, to, revision, limit, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func (p *player) count() {
	from, to := p.someRange()
	revision := p.past()
	_, count, err := p.store.Count(p.t.Context(), from, to, revision)
	if !p.answered("count", revision, err) {
		return
	}
	if revision == 0 {
		revision = p.revision
	}
	if want := len(p.within(from, to, revision)); count != int64(want) {
		p.t.Errorf("%d keys from %s to %s at %d, want %d", count, from, to, revision, want)
	}
}

func (p *player) after() {
	from, to := p.someRange()
	revision := max(p.past(), 1)
	events, _, err := p.store.After(p.t.Context(), from, to, revision)
	if !p.answered("what came after", revision, err) {
		return
	}
	var got, want []string
	for _, event := range events {
		got = append(got, tellEvent(event))
	}
	for i, s := range p.events {
		if name := p.names[i]; s.revision > revision && name >= from && name < to {
			want = append(want, p.wanted(name, s))
		}
	}
	if !slices.Equal(got, want) {
		p.t.Errorf("after %d, from %s to %s:\n%s\nwant\n%s", revision, from, to, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// wanted is an event as tellEvent tells it.
func (p *player) wanted(name string, s state) string {
	before, there := p.at(name, s.revision-1)
	what := "update"
	switch {
	case s.gone:
		what = "delete"
	case !there:
		what = "create"
	}
	return fmt.Sprintf("%s %s@%d=%q was %q@%d", what, name, s.revision, s.value, before.value, before.revision*tern(there))
}

func tern(there bool) int64 {
	if there {
		return 1
	}
	return 0
}

func (p *player) compact() {
	if p.lax || p.random.IntN(3) > 0 {
		return
	}
	revision := p.past()
	_, err := p.store.Compact(p.t.Context(), revision)
	switch {
	case errors.Is(err, server.ErrCompacted) && (revision <= max(p.compacted, p.may)):
	case err != nil || revision <= p.compacted:
		p.t.Errorf("a compaction at %d, after %d: %v", revision, p.compacted, err)
	default:
		p.compacted = revision
	}
}
