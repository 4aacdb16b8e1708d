package storetest

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/skerry-io/skerry/datastore"
	"github.com/skerry-io/skerry/datastore/powercut"
)

// Crasher is what is put through the crash test.
type Crasher struct {
	// Child is the name of a test that calls Child; it runs in a process of its own, which is killed.
	Child string
	// Points are the names of failpoints, each of which has to be reached.
	Points []string
	// Open opens the store in a directory, and tells the names of failpoints as it comes to them.
	Open func(t testing.TB, dir string, at func(point string)) (store datastore.Store, close func())
	// Forgets says that a key may be gone after a crash.
	Forgets func(key string) bool
	// Late says that answered writes may be lost, the newest first; then only revisions are compared.
	Late bool
	// Prepare fills a new directory and gives what is in it; nil for nothing.
	Prepare func(t *testing.T, dir string) map[string]string
}

// order tells a child what to do.
type order struct {
	Dir   string
	Point string
	Count int  // at which visit of the point it ends
	Run   int  // makes values of this run differ from others
	Each  int  // how much each of its writers writes
	Watch bool // it is followed
}

// atRandom in the place of a failpoint means that the child is killed whenever it is.
const atRandom = "at random"

// rounds is how often each point is crashed at.
const rounds = 4

// Crash kills a process at every failpoint, and at random moments, while it writes; what it was answered must be there.
func Crash(t *testing.T, c Crasher) {
	for _, point := range append(c.Points, atRandom) {
		t.Run(strings.ReplaceAll(point, "/", " "), func(t *testing.T) {
			t.Parallel()
			dir, known := t.TempDir(), map[string]string{}
			if c.Prepare != nil {
				known = c.Prepare(t, dir)
			}
			w := &witness{sure: known, tried: map[string][]string{}}
			reached := 0
			for run := range rounds {
				o := order{Dir: dir, Point: point, Count: 1 + rand.IntN(1+run*run), Run: run, Each: 60}
				if point == atRandom {
					o.Each = 1_000_000
				}
				if w.crash(t, c, o) {
					reached++
				}
				w.check(t, c, dir)
				if t.Failed() {
					return
				}
			}
			if reached == 0 {
				t.Errorf("no run came to %s", point)
			}
		})
	}
}

// witness knows what was asked and answered.
type witness struct {
	sure     map[string]string   // what a key was when its writer was last answered; "" for gone
	tried    map[string][]string // what was asked since
	revision int64               // the highest that was answered
}

// crash runs a child until it is killed, or has ended by itself. It says whether it was killed.
func (w *witness) crash(t *testing.T, c Crasher, o order) bool {
	ctx, stop := context.WithTimeout(t.Context(), 2*most)
	defer stop()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(ctx, program, "-test.run=^"+c.Child+"$")
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	child.Stdin = strings.NewReader(string(text))
	var complaint strings.Builder
	child.Stderr = &complaint
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	if o.Point == atRandom {
		late := time.AfterFunc(time.Duration(50+rand.IntN(500))*time.Millisecond, func() { _ = child.Process.Kill() })
		defer late.Stop()
	}
	said := w.listen(out)
	err = child.Wait()
	killed := child.ProcessState.Sys().(syscall.WaitStatus).Signaled()
	if err != nil && !killed || ctx.Err() != nil {
		t.Errorf("the child: %v\n%s\n%s", err, said, complaint.String())
	}
	return killed
}

// listen notes what a child says, and gives the rest.
func (w *witness) listen(out io.Reader) (rest string) {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var what, key, value string
		var revision int64
		if n, _ := fmt.Sscanf(lines.Text(), "@%s %s %q %d", &what, &key, &value, &revision); n < 4 {
			rest += lines.Text() + "\n"
			continue
		}
		if what == "try" {
			w.tried[key] = append(w.tried[key], value)
			continue
		}
		w.sure[key], w.tried[key] = value, nil
		w.revision = max(w.revision, revision)
	}
	return rest
}

// check opens the store after a crash: each key is what was answered last, or what was asked since.
func (w *witness) check(t *testing.T, c Crasher, dir string) {
	t.Helper()
	store, done := c.Open(t, dir, func(string) {})
	defer done()
	start(t, store)
	if revision := now(t, store); revision < w.revision {
		t.Errorf("revision %d was answered before the crash, and after it it is %d", w.revision, revision)
	}
	for key, want := range w.sure {
		_, kv, err := store.Get(t.Context(), key, 0, false)
		if err != nil {
			t.Errorf("%s after the crash: %v", key, err)
			continue
		}
		got := ""
		if kv != nil {
			got = string(kv.Value)
		}
		if !w.may(c, key, got, want) {
			t.Errorf("%s was %q when it was last answered, then %q was asked, and after the crash it is %q", key, want, w.tried[key], got)
		}
		w.sure[key], w.tried[key] = got, nil
	}
	for key := range w.tried { // new keys that were never answered
		if _, known := w.sure[key]; !known {
			w.sure[key] = read(t, store, key, 0)
			if w.sure[key] == "(none)" {
				w.sure[key] = ""
			}
		}
	}
	next, err := store.Create(t.Context(), fmt.Sprintf("/registry/check/%d", rand.Int64()), nil, 0)
	if err != nil || next <= w.revision {
		t.Errorf("revision %d follows %d: %v", next, w.revision, err)
	}
	w.revision = max(w.revision, next)
}

func (w *witness) may(c Crasher, key, got, want string) bool {
	if got == want || c.Late || got == "" && c.Forgets(key) {
		return true
	}
	for _, value := range w.tried[key] {
		if got == value {
			return true
		}
	}
	return false
}

// Child is the process that is killed. Run by itself it does nothing.
func Child(t *testing.T, c Crasher) {
	var o order
	if json.NewDecoder(os.Stdin).Decode(&o) != nil {
		t.Skip("it is a part of the crash test")
	}
	if o.Watch {
		if err := powercut.Watch(); err != nil {
			t.Fatal(err)
		}
	}
	var mu sync.Mutex
	visits := 0
	store, done := c.Open(t, o.Dir, func(point string) {
		mu.Lock()
		defer mu.Unlock()
		if point != o.Point {
			return
		}
		if visits++; visits == o.Count {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // nothing more happens here
		}
	})
	start(t, store)
	var writing sync.WaitGroup
	for w := range 4 {
		writing.Go(func() { (&scribe{t, store, o.Run}).write(w, o.Each) })
	}
	writing.Wait()
	done()
}

// scribe writes keys of its own, and says what it asks and what it is answered.
type scribe struct {
	t     *testing.T
	store datastore.Store
	run   int
}

func (s *scribe) say(what, key, value string, revision int64) {
	_, _ = fmt.Fprintf(os.Stdout, "@%s %s %q %d\n", what, key, value, revision)
}

func (s *scribe) write(writer, each int) {
	for i := range each {
		key := fmt.Sprintf("/registry/%s/%d-%d", []string{"pods", "leases", "configmaps"}[i%3], writer, rand.IntN(6))
		if err := s.change(key, fmt.Sprintf("%d-%d-%s", s.run, i, strings.Repeat("x", rand.IntN(3000)))); err != nil {
			s.t.Error(err)
			return
		}
		if i%20 == 19 && writer == 0 {
			_, _ = s.store.Compact(s.t.Context(), now(s.t, s.store)) // that it was done before is fine
		}
	}
}

// change writes one key, or removes it.
func (s *scribe) change(key, value string) error {
	ctx := s.t.Context()
	_, kv, err := s.store.Get(ctx, key, 0, true)
	if err != nil {
		return err
	}
	var revision int64
	if kv != nil && rand.IntN(4) == 0 {
		value = ""
	}
	s.say("try", key, value, 0)
	switch {
	case kv == nil:
		revision, err = s.store.Create(ctx, key, []byte(value), 0)
	case value == "":
		revision, _, _, err = s.store.Delete(ctx, key, kv.ModRevision)
	default:
		revision, _, _, err = s.store.Update(ctx, key, []byte(value), kv.ModRevision, 0)
	}
	if err == nil {
		s.say("did", key, value, revision)
	}
	return err
}
