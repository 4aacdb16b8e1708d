package apicache

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"log/slog"
	"net/netip"
	"path/filepath"
	"sync"
	"time"

	core "k8s.io/api/core/v1"

	"github.com/skerry-io/skerry/agent/podrights"
	"github.com/skerry-io/skerry/internal/run"
)

// Config is what a cache must know.
type Config struct {
	Dir    string            // where the file is
	Key    *ecdsa.PrivateKey // of the node; what was sealed with another one is dropped
	Node   string            // this node's name
	Caller func(context.Context) string
	// Rebooted says that the machine was started since the cache was last used: addresses of its pods do not count any more.
	Rebooted bool
	// Refers gives the names of the Secrets and ConfigMaps, of its own namespace, without which a pod cannot start.
	Refers func(*core.Pod) (secrets, configMaps []string)
	Rights Rights // of pods; nil if none may be told anything
	Door   Door
	Rows   *run.Rows
	Log    *slog.Logger
}

// Rights says who asks with a token, and what he may read.
type Rights interface {
	Who(token string) (podrights.User, error) // podrights.ErrUnknown where only a server can say
	Known(u podrights.User) bool
	May(u podrights.User, a podrights.Ask) bool
}

// Door is where pods of this node are answered while no server is in reach.
type Door struct {
	At        []netip.AddrPort // of each family the first counts
	Authority []byte           // what they are to trust there, in PEM form
}

const (
	fileName = "objects"
	// limit bounds the objects that are kept, in bytes.
	limit = 32 << 20
	// spare is how much of the file may be out of date before it is written anew, besides as much as counts.
	spare = 256 << 10
	// gather is how long after a change it is written, with what came meanwhile; pause is the time between two writings.
	gather, pause = 2 * time.Second, 15 * time.Second
	// retry is the pause after a writing that did not work.
	retry = time.Minute
)

// Cache is what servers said last.
type Cache struct {
	config Config
	wake   chan struct{} // holds one entry when there is something to write
	hurry  chan struct{} // the same, when it is not to wait
	// reads and watches hold an entry for each that pods ask.
	reads, watches chan struct{}

	mu        sync.Mutex // guards what follows
	index     *index
	file      *file // nil while there is none
	full      bool  // the limit was told of
	trouble   bool  // so was a disk that does not take it
	rebooted  bool
	stayed    map[string]object // leases, which are never written
	dropped   int               // events that nobody will see
	listening int               // watches that the node answers itself
}

// Open reads what an earlier run has left. What cannot be read is dropped: a server will tell it again.
func Open(c Config) *Cache {
	k := &Cache{config: c, wake: make(chan struct{}, 1), hurry: make(chan struct{}, 1), index: newIndex(), rebooted: c.Rebooted, stayed: map[string]object{},
		reads: make(chan struct{}, maxReads), watches: make(chan struct{}, maxWatches)}
	f, err := openFile(k.path(), c.Key)
	if err == nil {
		k.file = f
		var x *index
		if x, err = load(f); x != nil {
			k.index = x
		}
	}
	if err != nil && !missing(err) {
		c.Log.Warn("a part of what this node remembers of its cluster is lost; a server has to tell it again before the node can start alone",
			"file", k.path(), "objects left", len(k.index.entries), "err", err)
	}
	return k
}

func (k *Cache) path() string { return filepath.Join(k.config.Dir, fileName) }

// Holds says that there is something to answer with.
func (k *Cache) Holds() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.index.views) > 0
}

// Run writes what is new until ctx ends, and then what is left.
func (k *Cache) Run(ctx context.Context) {
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	var due <-chan time.Time
	var last time.Time
	for {
		select {
		case <-ctx.Done():
			_ = k.flush() // there is nobody to tell
			k.close()
			return
		case <-k.wake:
			if due == nil {
				due = time.After(max(gather, time.Until(last.Add(pause))))
			}
			continue
		case <-k.hurry:
		case <-sweep.C:
			k.sweep(time.Now())
			continue
		case <-due:
		}
		due, last = nil, time.Now()
		if k.told(k.flush()) {
			due = time.After(retry)
		}
	}
}

// told says what is wrong with the disk, once, and whether there is anything.
func (k *Cache) told(err error) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err != nil && !k.trouble {
		k.config.Log.Warn("what servers say cannot be kept on disk; if the node is rebooted with no server in reach, it goes by what it kept before",
			"dir", k.config.Dir, "err", err)
	}
	k.trouble = err != nil
	if err != nil {
		k.config.Rows.Set(run.Detail{Name: "cache", State: "not written", Bad: true, Err: err})
	} else {
		k.config.Rows.Drop("cache")
	}
	return err != nil
}

// changed has what is new written soon. mu is held.
func (k *Cache) changed() {
	if !k.index.dirty() {
		return
	}
	select {
	case k.wake <- struct{}{}:
	default: // it will be
	}
}

// hurried has it written at once. mu is held.
func (k *Cache) hurried() {
	select {
	case k.hurry <- struct{}{}:
	default: // it will be
	}
}

// flush writes all that is new, in one go. Nobody waits for the disk meanwhile. There is one at a time.
func (k *Cache) flush() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.index.dirty() {
		return nil
	}
	if k.file == nil || k.file.end > 2*k.index.live+spare {
		return k.rewrite()
	}
	w, err := k.index.writing()
	if err != nil {
		return err
	}
	f := k.file
	k.mu.Unlock()
	spots, err := f.append(w.texts)
	k.mu.Lock()
	k.index.written(w, spots, err == nil)
	return err
}

// writing is what is on its way to the disk.
type writing struct {
	texts   [][]byte
	refs    []ref
	entries []*entry
	turns   []uint32
	notes   []note
}

// writing takes all that is to be written.
func (x *index) writing() (writing, error) {
	var w writing
	for at := range x.changed {
		e := x.entries[at]
		text, err := objectRecord(at, e, e.unsaved)
		if err != nil {
			return w, err
		}
		w.texts, w.refs, w.entries, w.turns = append(w.texts, text), append(w.refs, at), append(w.entries, e), append(w.turns, e.turn)
	}
	text, err := notesRecord(x.notes)
	if err != nil {
		return w, err
	}
	w.texts, w.notes = append(w.texts, text), x.notes
	x.saved()
	return w, nil
}

// written notes where it is, or that it still has to be written.
func (x *index) written(w writing, spots []spot, ok bool) {
	if !ok {
		x.notes = append(w.notes, x.notes...)
	}
	for i, at := range w.refs {
		e := w.entries[i]
		switch {
		case x.entries[at] != e: // it is gone
		case !ok:
			x.changed[at] = struct{}{}
		case e.turn == w.turns[i]:
			e.where, e.unsaved = spots[i], nil
		}
	}
}

// rewrite makes a new file of what counts, and puts it in the place of the old one.
func (k *Cache) rewrite() error {
	next, err := newFile(k.path(), k.config.Key)
	if err != nil {
		return err
	}
	where, err := k.copyTo(next)
	if err == nil {
		err = next.swap()
	}
	if err != nil {
		return errors.Join(err, next.discard())
	}
	for at, s := range where {
		if k.index.entries[at].where = s; k.index.entries[at].persists(at) {
			k.index.entries[at].unsaved = nil
		}
	}
	k.index.saved()
	old := k.file
	k.file = next
	if old != nil {
		_ = old.disk.Close() // it was only read
	}
	return nil
}

// persists says that what is on disk is all there is to an object.
func (e *entry) persists(at ref) bool { return !e.local || at.Kind != nodes }

// batch is how much is written at a time, in bytes.
const batch = 1 << 20

func (k *Cache) copyTo(next *file) (map[ref]spot, error) {
	where := map[ref]spot{}
	var texts [][]byte
	var refs []ref
	size := 0
	write := func() error {
		spots, err := next.append(texts)
		for i := range spots {
			if i < len(refs) {
				where[refs[i]] = spots[i]
			}
		}
		texts, refs, size = nil, nil, 0
		return err
	}
	for at, e := range k.index.entries {
		body, err := k.body(e)
		if err != nil {
			return nil, err
		}
		text, err := objectRecord(at, e, body)
		if err != nil {
			return nil, err
		}
		texts, refs, size = append(texts, text), append(refs, at), size+len(text)
		if size > batch {
			if err := write(); err != nil {
				return nil, err
			}
		}
	}
	notes, err := notesRecord(k.index.all())
	if err != nil {
		return nil, err
	}
	texts = append(texts, notes)
	return where, write()
}

// all is what an empty index has to be told to become this one.
func (x *index) all() []note {
	var notes []note
	for _, v := range x.views {
		notes = append(notes, note{View: v.id, Key: &v.key, Of: v.of, APIVersion: v.apiVersion, Kind: v.kind, Version: v.version, Short: v.short})
		for at := range v.members {
			notes = append(notes, note{View: v.id, Join: &at})
		}
	}
	return notes
}

// body gives the body of an object. mu is held.
func (k *Cache) body(e *entry) ([]byte, error) {
	if e.unsaved != nil {
		return e.unsaved, nil
	}
	if k.file == nil {
		return nil, errTorn
	}
	text, _, err := k.file.read(e.where.at)
	if err != nil {
		return nil, err
	}
	_, body, err := readObjectRecord(text)
	return body, err
}

// get gives an object. mu is held.
func (k *Cache) get(at ref) (object, error) {
	e := k.index.entries[at]
	if e == nil {
		return object{}, errUnknown
	}
	body, err := k.body(e)
	return object{APIVersion: e.apiVersion, Kind: e.kind, form: e.form, body: body, meta: e.meta}, err
}

var errUnknown = errors.New("it is not known here")

func (k *Cache) close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.file != nil {
		_ = k.file.disk.Close() // all was synced
		k.file = nil
	}
}
