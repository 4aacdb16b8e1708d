package kinesql

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/k3s-io/kine/pkg/server"

	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/tests/testdb"
)

const most = 20 * time.Second

// refused: what waiting cannot cure is said at once, and without the password.
func (d database) refused(t *testing.T) {
	good := d.url("refused")
	for name, c := range map[string]struct{ url, want string }{
		"the password":  {strings.ReplaceAll(good, "correct", "wrong"), "denied|authentication failed"},
		"the user":      {strings.ReplaceAll(good, testdb.User+":", "stranger:"), "denied|authentication failed"},
		"the parameter": {good + "?connect_timeout=x&timeout=x", "datastore-endpoint is not"},
	} {
		began := time.Now()
		_, _, err := Connect(t.Context(), d.config(t, c.url))
		var told *fault.Fault
		if err == nil || !errors.As(err, &told) || told.Cure() == "" || !one(err.Error(), c.want) || secret(err.Error()) {
			t.Errorf("%s is wrong: %v", name, err)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s is wrong, and it took %s to say so", name, took)
		}
	}
}

func one(text, of string) bool {
	for _, part := range strings.Split(of, "|") {
		if strings.Contains(text, part) {
			return true
		}
	}
	return false
}

// secret says that a text tells a part of a password.
func secret(text string) bool { return one(text, "correct|horse|battery|staple") }

// tls: the authority is believed, and no other.
func (d database) tls(t *testing.T) {
	c := d.config(t, d.url("tls"))
	c.CAFile = d.server.CA
	store, done, err := Connect(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Start(t.Context()); err != nil {
		t.Error(err)
	}
	done()
	c.CAFile = d.server.OtherCA()
	if _, _, err := Connect(t.Context(), c); err == nil || !strings.Contains(err.Error(), "unknown authority") || secret(err.Error()) {
		t.Errorf("another authority: %v", err)
	}
	c.CAFile = d.server.Key
	if _, _, err := Connect(t.Context(), c); err == nil || secret(err.Error()) {
		t.Errorf("an authority that is none: %v", err)
	}
}

// late: a database that is started after its client is waited for, and the client says so.
func (d database) late(t *testing.T) {
	d.server.Stop()
	var waited atomic.Int32
	var log bytes.Buffer
	c := d.config(t, d.url("late"))
	c.Log = slog.New(slog.NewTextHandler(&log, nil))
	told, reached := make(chan error, 1), make(chan struct{})
	c.Waiting = func(err error) {
		if err == nil {
			close(reached)
			return
		}
		if waited.Add(1) == 1 {
			told <- err
		}
	}
	ended := make(chan error, 1)
	go func() {
		_, done, err := Connect(t.Context(), c)
		if err == nil {
			done()
		}
		ended <- err
	}()
	select {
	case err := <-told:
		if secret(err.Error()) {
			t.Errorf("it waits, and tells %v", err)
		}
	case err := <-ended:
		t.Fatalf("it did not wait: %v", err)
	case <-time.After(most):
		t.Fatal("it says nothing")
	}
	d.server.Start()
	select {
	case err := <-ended:
		if err != nil {
			t.Fatal(err)
		}
		<-reached
	case <-time.After(most):
		t.Fatal("the database is there, and not used")
	}
	if secret(log.String()) {
		t.Errorf("the log tells %s", log.String())
	}
	gone, stop := context.WithCancel(t.Context())
	stop()
	if _, _, err := Connect(gone, c); !errors.Is(err, context.Canceled) {
		t.Errorf("a wait that nobody wants any more: %v", err)
	}
}

// broken: a database that goes away takes the requests of that time with it, and nothing else; watches go on.
func (d database) broken(t *testing.T) {
	store, done := d.connected(t, d.socketURL("broken"))
	defer done()
	if err := store.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	first, err := store.Create(t.Context(), "/registry/a", []byte("1"), 0)
	if err != nil {
		t.Fatal(err)
	}
	watched := store.Watch(t.Context(), "/registry/", "/registry0", first+1)
	d.server.Stop()
	if _, _, err := store.Get(t.Context(), "/registry/a", 0, false); err == nil {
		t.Error("there is no database, and a read has an answer")
	}
	if _, _, err := store.List(t.Context(), "/registry/", "/registry0", 0, 0, false); err == nil {
		t.Error("there is no database, and a list has an answer")
	}
	if _, err := store.Create(t.Context(), "/registry/b", nil, 0); err == nil {
		t.Error("there is no database, and a write was answered")
	}
	d.server.Start()
	until := time.Now().Add(most)
	second, err := store.Create(t.Context(), "/registry/c", []byte("1"), 0)
	for ; err != nil; second, err = store.Create(t.Context(), "/registry/c", []byte("1"), 0) {
		if time.Now().After(until) {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	_, kv, err := store.Get(t.Context(), "/registry/a", 0, false)
	if err != nil || kv == nil || kv.ModRevision != first || second <= first {
		t.Errorf("%+v, %v; then revision %d", kv, err, second)
	}
	timeout := time.After(most)
	for {
		select {
		case events := <-watched.Events:
			if len(events) == 0 || events[len(events)-1].KV.ModRevision < second {
				continue
			}
		case <-timeout:
			t.Error("a watch of before hears nothing of what happens after")
		}
		return
	}
}

// two: what one server writes the other reads at once, and hears of soon.
func (d database) two(t *testing.T) {
	var started sync.WaitGroup
	a, doneA := d.connected(t, d.url("two"))
	defer doneA()
	b, doneB := d.connected(t, d.url("two"))
	defer doneB()
	for _, store := range []interface{ Start(context.Context) error }{a, b} {
		started.Go(func() {
			if err := store.Start(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	started.Wait()
	at, err := b.CurrentRevision(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	heard := b.Watch(t.Context(), "/registry/", "/registry0", at+1)
	for i := range 20 {
		key := fmt.Sprintf("/registry/pods/%02d", i)
		wrote, err := a.Create(t.Context(), key, []byte("1"), 0)
		if err != nil {
			t.Fatal(err)
		}
		if now, err := b.CurrentRevision(t.Context()); err != nil || now < wrote {
			t.Errorf("one server wrote %d, the other is at %d: %v", wrote, now, err)
		}
		if now, none, err := b.List(t.Context(), "/registry/none/", "/registry/none0", 0, 0, false); err != nil || len(none) > 0 || now < wrote {
			t.Errorf("one server wrote %d, an empty list of the other is of %d: %v", wrote, now, err)
		}
		if _, err := b.Create(t.Context(), key, nil, 0); !errors.Is(err, server.ErrKeyExists) {
			t.Errorf("the other server makes %s again: %v", key, err)
		}
	}
	count, timeout := 0, time.After(most)
	for count < 20 {
		select {
		case events := <-heard.Events:
			count += len(events)
		case <-timeout:
			t.Fatalf("it heard of %d of 20 changes", count)
		}
	}
}

// order: whoever reads a revision and goes on from there misses nothing, however many write at the same time.
func (d database) order(t *testing.T) {
	a, doneA := d.connected(t, d.url("orderly"))
	defer doneA()
	b, doneB := d.connected(t, d.url("orderly"))
	defer doneB()
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	const writers, each = 8, 40
	var writing sync.WaitGroup
	written := make(chan struct{})
	for w := range writers {
		writing.Go(func() {
			for i := range each {
				if _, err := []interface {
					Create(context.Context, string, []byte, int64) (int64, error)
				}{a, b}[w%2].Create(t.Context(), fmt.Sprintf("/registry/pods/%d-%d", w, i), []byte("1"), 0); err != nil {
					t.Error(err)
				}
			}
		})
	}
	go func() {
		writing.Wait()
		close(written)
	}()
	seen, last := map[string]bool{}, int64(0)
	for over := false; !over; {
		select {
		case <-written:
			over = true
		default:
		}
		at, err := a.CurrentRevision(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		events, _, err := b.After(t.Context(), "/registry/pods/", "/registry/pods0", last)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			if e.KV.ModRevision <= at { // all up to here was to be seen when the revision was read
				seen[e.KV.Key] = true
			}
		}
		last = at
	}
	if len(seen) != writers*each {
		t.Errorf("%d of %d changes became visible in the order of their revisions", len(seen), writers*each)
	}
}
