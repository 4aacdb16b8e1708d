package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/k3s-io/kine/pkg/server"
)

const most = 10 * time.Second

// fakeDisk keeps records in a map, and can be full.
type fakeDisk struct {
	mu      sync.Mutex
	records map[int64]Record
	state   State
	full    bool
	commits int
	reading chan struct{} // if set, the first read waits for it
	read    atomic.Bool
}

var errFull = errors.New("no space left")

func (d *fakeDisk) Load(_ context.Context, each func(Record) error) (State, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []int64
	for revision := range d.records {
		all = append(all, revision)
	}
	slices.Sort(all)
	for _, revision := range all {
		if err := each(d.records[revision]); err != nil {
			return d.state, err
		}
	}
	return d.state, nil
}

func (d *fakeDisk) Commit(_ context.Context, b Batch) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.full {
		return errFull
	}
	d.commits++
	for _, r := range b.Put {
		if _, twice := d.records[r.Revision]; twice {
			return fmt.Errorf("revision %d twice", r.Revision)
		}
		d.records[r.Revision] = r
	}
	for _, revision := range b.Drop {
		if _, there := d.records[revision]; !there {
			return fmt.Errorf("revision %d is dropped and was not there", revision)
		}
		delete(d.records, revision)
	}
	d.state.Compacted, d.state.Limit = max(d.state.Compacted, b.Compacted), max(d.state.Limit, b.Limit)
	return nil
}

func (d *fakeDisk) Values(_ context.Context, revisions []int64) ([][]byte, error) {
	if d.reading != nil && d.read.CompareAndSwap(false, true) {
		<-d.reading
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	values := make([][]byte, len(revisions))
	for i, revision := range revisions {
		r, there := d.records[revision]
		if !there {
			return nil, fmt.Errorf("revision %d is missing", revision)
		}
		values[i] = r.Value
	}
	return values, nil
}

func (d *fakeDisk) Settle(context.Context) error        { return nil }
func (d *fakeDisk) Size(context.Context) (int64, error) { return 0, nil }
func (d *fakeDisk) Tidy(context.Context) (bool, error)  { return false, nil }
func (d *fakeDisk) Close() error                        { return nil }

func (d *fakeDisk) fill(full bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.full = full
}

func (d *fakeDisk) count() (records, commits int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.records), d.commits
}

func opened(t *testing.T, d *fakeDisk, o Options) *Engine {
	t.Helper()
	if d.records == nil {
		d.records = map[int64]Record{}
	}
	o.Log = slog.New(slog.DiscardHandler)
	e, err := Open(t.Context(), d, nil, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

func made(t *testing.T, e *Engine, key, value string) int64 {
	t.Helper()
	revision, err := e.Create(t.Context(), key, []byte(value), 0)
	if err != nil {
		t.Fatal(err)
	}
	return revision
}

func updated(t *testing.T, e *Engine, key, value string, was int64) int64 {
	t.Helper()
	revision, _, done, err := e.Update(t.Context(), key, []byte(value), was, 0)
	if err != nil || !done {
		t.Fatal(done, err)
	}
	return revision
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for until := time.Now().Add(most); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal("it never came: " + what)
		}
	}
}

// A disk that is full refuses writes, changes nothing that is read, and goes on when there is room.
func TestAFullDisk(t *testing.T) {
	d := &fakeDisk{}
	e := opened(t, d, Options{})
	first := made(t, e, "a", "1")
	watched := e.Watch(t.Context(), "", "", first+1)
	d.fill(true)
	for _, key := range []string{"a", "b"} {
		if _, err := e.Create(t.Context(), "b", nil, 0); err == nil || errors.Is(err, server.ErrKeyExists) {
			t.Errorf("create of %s: %v", key, err)
		}
	}
	if _, _, done, err := e.Update(t.Context(), "a", nil, first, 0); err == nil || done {
		t.Errorf("update: %v, %v", done, err)
	}
	if _, _, done, err := e.Delete(t.Context(), "a", first); err == nil || done {
		t.Errorf("delete: %v, %v", done, err)
	}
	now, kv, err := e.Get(t.Context(), "a", 0, false)
	if err != nil || now != first || string(kv.Value) != "1" {
		t.Errorf("then it is %+v at %d, %v", kv, now, err)
	}
	d.fill(false)
	second := updated(t, e, "a", "2", first)
	third := made(t, e, "b", "3")
	for _, want := range []int64{second, third} {
		if events := <-watched.Events; len(events) != 1 || events[0].KV.ModRevision != want {
			t.Errorf("told %v, want revision %d", events, want)
		}
	}
}

// With an interval, what was answered and cannot be written is still read, written later, and no more is taken.
func TestAFullDiskWithAnInterval(t *testing.T) {
	d := &fakeDisk{}
	e := opened(t, d, Options{Interval: 10 * time.Millisecond})
	made(t, e, "a", "1")
	d.fill(true)
	late := made(t, e, "b", "2")
	eventually(t, "writes are refused", func() bool {
		_, err := e.Create(t.Context(), fmt.Sprint(time.Now()), nil, 0)
		return err != nil
	})
	if _, kv, err := e.Get(t.Context(), "b", 0, false); err != nil || kv == nil || string(kv.Value) != "2" {
		t.Errorf("what was answered is %+v, %v", kv, err)
	}
	d.fill(false)
	eventually(t, "writes are taken again", func() bool {
		_, err := e.Create(t.Context(), fmt.Sprint(time.Now()), nil, 0)
		return err == nil
	})
	e.Close()
	if string(d.records[late].Value) != "2" {
		t.Error("what was answered is not on disk")
	}
}

func TestManyWritesShareACommit(t *testing.T) {
	d := &fakeDisk{}
	e := opened(t, d, Options{Interval: 200 * time.Millisecond})
	for i := range 500 {
		made(t, e, fmt.Sprint(i), "1")
	}
	e.Close()
	if records, commits := d.count(); records != 500 || commits > 5 {
		t.Errorf("%d records in %d commits", records, commits)
	}
}

// A reader that is slow sees what it began with, whatever is compacted meanwhile; afterwards that is freed.
func TestACompactionWaitsForReaders(t *testing.T) {
	d := &fakeDisk{}
	e := opened(t, d, Options{})
	revision := made(t, e, "a", "0")
	first := revision
	d.reading = make(chan struct{})
	read := make(chan string, 1)
	go func() {
		_, kv, err := e.Get(t.Context(), "a", 0, false)
		read <- fmt.Sprintf("%s %v", kv.Value, err)
	}()
	eventually(t, "the reader has begun", d.read.Load)
	revision = updated(t, e, "a", "1", revision)
	if _, err := e.Compact(t.Context(), revision); err != nil {
		t.Fatal(err)
	}
	if _, _, err := e.Get(t.Context(), "a", first, true); !errors.Is(err, server.ErrCompacted) {
		t.Errorf("a new reader of the past: %v", err)
	}
	close(d.reading)
	if got := <-read; got != "0 <nil>" {
		t.Errorf("it read %s", got)
	}
	eventually(t, "the past is freed", func() bool { records, _ := d.count(); return records == 1 })
}

func TestThePastIsBounded(t *testing.T) {
	d := &fakeDisk{}
	e := opened(t, d, Options{History: 100})
	revision := made(t, e, "a", "0")
	for i := range 1000 {
		revision = updated(t, e, "a", fmt.Sprint(i), revision)
	}
	eventually(t, "the past is freed", func() bool { records, _ := d.count(); return records <= 150 })
	if compacted := e.Compacted(); compacted < 800 || compacted > revision-20 {
		t.Errorf("the past before %d is gone, now is %d", compacted, revision)
	}
}

// What was the last change may be compacted away; its revision is not given out again.
func TestTheLastRevisionIsRemembered(t *testing.T) {
	d := &fakeDisk{}
	e := opened(t, d, Options{})
	made(t, e, "a", "1")
	last, _, _, err := e.Delete(t.Context(), "a", 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Compact(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the past is freed", func() bool { records, _ := d.count(); return records == 0 })
	e.Close()
	e = opened(t, d, Options{})
	if next := made(t, e, "a", "2"); next != last+1 {
		t.Errorf("revision %d follows %d", next, last)
	}
}

// A watch that does not read is ended, and can go on where it was.
func TestASlowWatchIsEnded(t *testing.T) {
	e := opened(t, &fakeDisk{}, Options{})
	slow := e.Watch(t.Context(), "", "", 0)
	var last int64
	for i := range 2 * behind {
		last = made(t, e, fmt.Sprint(i), "1")
	}
	seen, count := int64(0), 0
	for events := range slow.Events {
		seen, count = events[len(events)-1].KV.ModRevision, count+len(events)
	}
	if count < behind || seen >= last {
		t.Errorf("told %d changes, up to %d", count, seen)
	}
	for again := e.Watch(t.Context(), "", "", seen+1); seen < last; {
		events := <-again.Events
		if events[0].KV.ModRevision != seen+1 {
			t.Fatalf("revision %d after %d", events[0].KV.ModRevision, seen)
		}
		seen, count = events[len(events)-1].KV.ModRevision, count+len(events)
	}
	if count != 2*behind {
		t.Errorf("told %d changes", count)
	}
}

func TestRequestsOfWhoIsGone(t *testing.T) {
	e := opened(t, &fakeDisk{}, Options{})
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := e.Create(ctx, "a", nil, 0); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	e.Close()
	e.Close()
	if _, err := e.Create(t.Context(), "b", nil, 0); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("got %v", err)
	}
}

// The index of ten thousand keys, as long as Kubernetes makes them, stays small.
func TestMemoryOfTheIndex(t *testing.T) {
	x := newIndex()
	for i := range 10_000 {
		x.add(&Record{Revision: int64(i + 1), Created: int64(i + 1), Version: 1, Key: fmt.Sprintf("/registry/configmaps/a-namespace/the-name-of-an-object-%06d", i)})
	}
	for done := false; !done; {
		_, done = x.prune(10_000, step)
	}
	if bytes := memory(x); bytes > 2_000_000 {
		t.Errorf("10 000 keys take %d bytes", bytes)
	}
}

// memory is about how much the index takes, in bytes.
func memory(x *index) (bytes int) {
	x.keys.Ascend(func(e *entry) bool {
		bytes += len(e.key) + int(unsafe.Sizeof(*e)) + cap(e.versions)*int(unsafe.Sizeof(version{})) + 12
		return true
	})
	return bytes + cap(x.history)*int(unsafe.Sizeof(change{}))
}
