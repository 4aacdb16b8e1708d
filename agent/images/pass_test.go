package images

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
)

// shelf is a store in memory: the tar stream's text is the image's name.
type shelf struct {
	mu     sync.Mutex
	images map[string]bool // name to pinned
	reads  []string
	fail   error
}

func newShelf() *shelf { return &shelf{images: map[string]bool{}} }

func (s *shelf) Import(_ context.Context, tar io.Reader, whole func() error) ([]Image, error) {
	text, err := io.ReadAll(tar)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	name, _, _ := strings.Cut(string(text), " ")
	s.reads = append(s.reads, name)
	switch {
	case s.fail != nil:
		return nil, s.fail
	case strings.HasPrefix(name, "bad"):
		return nil, &flaw{why: "it is bad", cure: "make it good"}
	case strings.HasPrefix(name, "half"):
		return nil, truncated(io.ErrUnexpectedEOF)
	}
	if err := whole(); err != nil {
		return nil, err
	}
	s.images[name] = true
	return []Image{{Name: name, Target: digest.FromBytes(text)}}, nil
}

func (s *shelf) Build(context.Context, Builtin) ([]Image, error) { return nil, nil }

func (s *shelf) Has(_ context.Context, all []Image) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !slices.ContainsFunc(all, func(i Image) bool { return !s.images[i.Name] }), nil
}

func (s *shelf) Unpin(_ context.Context, all []Image) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, image := range all {
		s.images[image.Name] = false
	}
	return nil
}

func (s *shelf) Settle(context.Context, []Image) {}
func (s *shelf) Close() error                    { return nil }

func (s *shelf) pinned() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []string
	for name, pin := range s.images {
		if pin {
			list = append(list, name)
		}
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

// bench is an importer over a shelf, in a directory of its own.
type bench struct {
	*Importer
	shelf *shelf
	log   *bytes.Buffer
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{shelf: newShelf(), log: &bytes.Buffer{}}
	dir := t.TempDir()
	b.fresh(Config{Dir: filepath.Join(dir, "images"), StateFile: filepath.Join(dir, "etc/images.json")})
	if err := os.Mkdir(b.config.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return b
}

// fresh is a restart.
func (b *bench) fresh(c Config) {
	b.log.Reset()
	c.Log = slog.New(slog.NewTextHandler(b.log, &slog.HandlerOptions{Level: slog.LevelInfo}))
	b.Importer = New(c)
	b.dial = func() (store, error) { return b.shelf, nil }
}

// put writes a file that is as old as given.
func (b *bench) put(t *testing.T, name, text string, age time.Duration) {
	t.Helper()
	path := put(t, b.config.Dir, name, []byte(text))
	at := time.Now().Add(-age)
	if err := os.Chtimes(path, at, at); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) passes(t *testing.T, wantReads string) time.Duration {
	t.Helper()
	b.shelf.reads = nil
	wait := b.pass(t.Context(), b.shelf)
	if got := strings.Join(b.shelf.reads, " "); got != wantReads {
		t.Errorf("read %q, want %q", got, wantReads)
	}
	return wait
}

func (b *bench) problems(t *testing.T, want ...string) {
	t.Helper()
	list := b.Problems()
	if len(list) != len(want) {
		t.Errorf("got %d problems, want %d: %v", len(list), len(want), list)
		return
	}
	for n, p := range list {
		if !strings.Contains(p.Err.Error(), want[n]) || !strings.Contains(p.Err.Error(), p.File) || !strings.Contains(p.Err.Error(), "to cure: ") {
			t.Errorf("got %q, want %q with file and cure", p.Err, want[n])
		}
	}
}

func (b *bench) logged(t *testing.T, word string, want int) {
	t.Helper()
	if got := strings.Count(b.log.String(), word); got != want {
		t.Errorf("%q is logged %d times, want %d:\n%s", word, got, want, b.log)
	}
}

func TestPassImportsOnlyWhatChanged(t *testing.T) {
	b := newBench(t)
	b.put(t, "a.tar", "a:1", time.Hour)
	b.put(t, "b.tar.zst", "b:1", time.Hour)
	for _, ignored := range []string{".hidden.tar", "c.txt", "d.tar.part", "e.tar.gz~"} {
		b.put(t, ignored, ignored, time.Hour)
	}
	if wait := b.passes(t, "a:1 b:1"); wait != 0 {
		t.Errorf("all is done, but it wants to look again in %s", wait)
	}
	b.passes(t, "")

	b.fresh(b.config)
	b.passes(t, "")
	b.logged(t, "imported", 0)

	b.fresh(b.config)
	b.put(t, "a.tar", "a:1", time.Minute) // touched: read for its hash only
	b.put(t, "b.tar.zst", "b:2", time.Minute)
	b.passes(t, "b:2")
	if got := b.shelf.pinned(); got != "a:1 b:2" {
		t.Errorf("pinned are %q: what a replaced archive named must not be", got)
	}

	b.fresh(b.config)
	delete(b.shelf.images, "a:1") // removed by a user
	b.passes(t, "a:1")

	b.fresh(b.config)
	if err := os.Remove(filepath.Join(b.config.Dir, "a.tar")); err != nil {
		t.Fatal(err)
	}
	b.passes(t, "")
	if got := b.shelf.pinned(); got != "a:1 b:2" {
		t.Errorf("pinned are %q: what a removed archive named must stay so", got)
	}

	if err := os.WriteFile(b.config.StateFile, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.fresh(b.config)
	b.passes(t, "b:2")
}

func TestPassWaitsForAFileThatIsBeingWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.put(t, "a.tar", "half", 0)
		if wait := b.passes(t, ""); wait != settleTime {
			t.Errorf("a new file is looked at again in %s", wait)
		}
		time.Sleep(settleTime - 1)
		b.put(t, "a.tar", "half of it", 0)
		b.passes(t, "")
		time.Sleep(settleTime)
		b.passes(t, "half") // the copy stalls: tried, but not called bad yet
		b.problems(t)
		time.Sleep(time.Second)
		b.put(t, "a.tar", "a:1", 0)
		b.passes(t, "")
		time.Sleep(settleTime)
		b.passes(t, "a:1")
		b.problems(t)
		b.logged(t, "WARN", 0)
	})
}

func TestPassReportsABadArchiveOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.put(t, "bad.tar", "bad:1", time.Hour)
		b.put(t, "cut.tar", "half", 0)
		b.put(t, "good.tar", "good:1", time.Hour)
		b.passes(t, "bad:1 good:1")
		for range 60 {
			time.Sleep(time.Second)
			b.pass(t.Context(), b.shelf)
		}
		b.problems(t, "it is bad", "ends too early")
		b.logged(t, "level=WARN", 2)
		b.put(t, "bad.tar", "bad:1", time.Minute) // touched: the same content, the same cause
		b.passes(t, "bad:1")
		b.logged(t, "level=WARN", 2)
		b.put(t, "bad.tar", "bad:22", time.Minute)
		b.passes(t, "bad:22")
		b.logged(t, "level=WARN", 3)
		b.put(t, "bad.tar", "fine:1", 2*time.Minute)
		if err := os.Remove(filepath.Join(b.config.Dir, "cut.tar")); err != nil {
			t.Fatal(err)
		}
		b.passes(t, "fine:1")
		b.problems(t)
	})
}

func TestPassTriesAgainWhatTheMachineRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.put(t, "a.tar", "a:1", time.Hour)
		b.shelf.fail = fmt.Errorf("write: no space left on device")
		var waits []time.Duration
		for range 9 {
			wait := b.passes(t, "a:1")
			waits = append(waits, wait)
			if again := b.passes(t, ""); again != wait {
				t.Errorf("woken early, it waits %s, not %s", again, wait)
			}
			time.Sleep(wait)
		}
		if waits[0] != retryMin || waits[1] != 2*retryMin || waits[8] != retryMax {
			t.Errorf("waits are %v", waits)
		}
		b.problems(t, "no space left on device; to cure: free space")
		b.logged(t, "level=WARN", 1)
		b.shelf.fail = nil
		b.passes(t, "a:1")
		b.problems(t)
	})
}

func TestRunIsReadyWhenAllIsInOrPatienceIsOver(t *testing.T) {
	b := newBench(t)
	b.put(t, "a.tar", "a:1", time.Hour)
	b.put(t, "new.tar", "new:1", 0)
	ctx, stop := context.WithCancel(t.Context())
	var had string
	ready := sync.OnceFunc(func() { had = b.shelf.pinned(); stop() })
	if err := b.Run(ctx, ready); err != nil || had != "a:1 new:1" {
		t.Errorf("ready with %q, %v", had, err)
	}

	b = newBench(t)
	b.config.Patience = 50 * time.Millisecond
	b.shelf.fail = nil
	slow := make(chan struct{})
	b.dial = func() (store, error) { return stuck{b.shelf, slow}, nil }
	b.put(t, "a.tar", "a:1", time.Hour)
	ctx, stop = context.WithCancel(t.Context())
	if err := b.Run(ctx, sync.OnceFunc(stop)); err != nil {
		t.Error(err)
	}
}

// stuck is a store that is very slow.
type stuck struct {
	*shelf
	free chan struct{}
}

func (s stuck) Import(ctx context.Context, _ io.Reader, _ func() error) ([]Image, error) {
	select {
	case <-s.free:
	case <-ctx.Done():
	}
	return nil, ctx.Err()
}

func TestWatchSeesNewArchives(t *testing.T) {
	b := newBench(t)
	wake := make(chan struct{}, 1)
	ctx, stop := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() { b.watch(ctx, wake) })
	<-wake // the watch stands
	b.put(t, "a.tar", "a:1", 0)
	<-wake
	stop()
	done.Wait()
	b.logged(t, "WARN", 0)
}

func TestWatchLooksByItselfWhereTheKernelDoesNotTell(t *testing.T) {
	for _, reason := range []string{"too many open files", "no space left on device"} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t)
			b.notify = func() (notifier, error) { return nil, errors.New(reason) }
			wake := make(chan struct{}, 1)
			ctx, stop := context.WithCancel(t.Context())
			var done sync.WaitGroup
			done.Go(func() { b.watch(ctx, wake) })
			began := time.Now()
			for range 3 {
				<-wake
			}
			if took := time.Since(began); took != 3*pollTime {
				t.Errorf("3 looks took %s", took)
			}
			stop()
			done.Wait()
			b.logged(t, "fs.inotify.max_user_instances", 1)
		})
	}
}
