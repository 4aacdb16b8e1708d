package watch

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/k3s-io/kine/pkg/server"
)

func TestASubscriptionThatFailsLosesNothing(t *testing.T) {
	store := &fakeStore{}
	f, _ := connect(t, start(t, store), 10)
	f.create(t, "a", 0)
	store.write("a", false)
	f.next(t)
	store.fail()
	store.write("a", false)
	store.write("a", false)
	if got := f.next(t); !slices.Equal(revisions(got), []int64{2, 3}) {
		t.Errorf("after it %v", got)
	}
}

// Who was cut off while another server compacted hears only of what is left.
func TestChangesThatWereCompactedUnheardEndTheStreams(t *testing.T) {
	for name, c := range map[string]struct {
		compacted int64
		heard     []int64
	}{
		"they lie before the next change":  {3, []int64{4}},
		"they lie between the next ones":   {4, []int64{2, 5}},
		"they lie before and between them": {6, []int64{4, 5, 9}},
	} {
		store := &fakeStore{}
		h := start(t, store)
		f, ended := connect(t, h, 10)
		f.create(t, "a", 0)
		store.write("a", false)
		f.next(t)
		store.forget(c.compacted, c.heard...)
		select {
		case err := <-ended:
			if !errors.Is(err, server.ErrCompacted) {
				t.Errorf("%s: it ends with %v", name, err)
			}
		case got := <-f.told:
			t.Errorf("%s: told %v", name, got)
		case <-time.After(most):
			t.Errorf("%s: nothing happens", name)
		}
		f, _ = connect(t, h, 10)
		f.create(t, "a", 0)
		store.write("a", false)
		if now, _ := store.CurrentRevision(t.Context()); !slices.Equal(revisions(f.next(t)), []int64{now}) {
			t.Errorf("%s: who comes again is not told what happens then", name)
		}
	}
}

func TestRevisionsThatAreLeftOutEndNothing(t *testing.T) {
	store := &fakeStore{}
	f, ended := connect(t, start(t, store), 10)
	f.create(t, "a", 0)
	for want := int64(3); want <= 9; want += 3 {
		store.write("", true)
		store.write("", true)
		store.write("a", false)
		if got := f.next(t); !slices.Equal(revisions(got), []int64{want}) {
			t.Errorf("told %v, want revision %d", got, want)
		}
	}
	if len(ended) > 0 {
		t.Errorf("the stream has ended: %v", <-ended)
	}
}

// As long as it cannot be said whether changes are missing, nothing is told, and then all is, once.
func TestRevisionsThatAreLeftOutWhileTheStoreFails(t *testing.T) {
	store := &fakeStore{}
	f, ended := connect(t, start(t, store), 10)
	f.create(t, "a", 0)
	store.write("a", false)
	f.next(t)
	store.mu.Lock()
	store.broken = 1
	store.mu.Unlock()
	store.write("", true)
	store.write("a", false)
	if got := f.next(t); !slices.Equal(revisions(got), []int64{3}) {
		t.Errorf("told %v", got)
	}
	store.write("a", false)
	if got := f.next(t); !slices.Equal(revisions(got), []int64{4}) || len(ended) > 0 {
		t.Errorf("then %v", got)
	}
}
