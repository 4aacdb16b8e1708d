package datastore_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/skerry-io/skerry/datastore"
	"github.com/skerry-io/skerry/datastore/local"
	"github.com/skerry-io/skerry/internal/fault"
)

const most = 10 * time.Second

// serve runs a store in dir, and gives a client of it and how to stop both.
func serve(t *testing.T, dir string) (client *clientv3.Client, stop func() error) {
	t.Helper()
	return serveThrough(t, dir, func(store datastore.Store) datastore.Store { return store })
}

// serveThrough puts something between the store and those who ask.
func serveThrough(t *testing.T, dir string, between func(datastore.Store) datastore.Store) (client *clientv3.Client, stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	store, letGo, err := local.Open(ctx, local.Config{Dir: dir, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "datastore.sock")
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		err := datastore.Serve(ctx, between(store), socket, func() { close(ready) })
		letGo()
		ended <- err
	}()
	select {
	case <-ready:
	case err := <-ended:
		cancel()
		t.Fatal(err)
	}
	if client, err = clientv3.New(clientv3.Config{Endpoints: []string{"unix://" + socket}, DialTimeout: most, Logger: zap.NewNop()}); err != nil {
		t.Fatal(err)
	}
	stop = func() error {
		cancel()
		select {
		case err := <-ended:
			ended <- err
			return err
		case <-time.After(most):
			return errors.New("did not stop")
		}
	}
	t.Cleanup(func() {
		_ = client.Close()
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return client, stop
}

// create and update are the transactions that the API server makes; they give the revision, 0 when the key is not as
// expected.
func create(t *testing.T, c *clientv3.Client, key, value string) int64 {
	t.Helper()
	return update(t, c, key, value, 0)
}

func update(t *testing.T, c *clientv3.Client, key, value string, was int64) int64 {
	t.Helper()
	answer, err := c.Txn(t.Context()).If(clientv3.Compare(clientv3.ModRevision(key), "=", was)).
		Then(clientv3.OpPut(key, value)).Else(clientv3.OpGet(key)).Commit()
	if err != nil {
		t.Fatal(err)
	}
	if !answer.Succeeded {
		return 0
	}
	return answer.Header.Revision
}

func value(t *testing.T, c *clientv3.Client, key string, options ...clientv3.OpOption) string {
	t.Helper()
	answer, err := c.Get(t.Context(), key, options...)
	if err != nil {
		t.Fatal(err)
	}
	if len(answer.Kvs) == 0 {
		return "(none)"
	}
	return string(answer.Kvs[0].Value)
}

func TestReadsWritesAndConflicts(t *testing.T) {
	c, _ := serve(t, t.TempDir())
	first := create(t, c, "/registry/a", "1")
	if first == 0 {
		t.Fatal("the key was there before")
	}
	if again := create(t, c, "/registry/a", "2"); again != 0 {
		t.Error("a second create wins")
	}
	second := update(t, c, "/registry/a", "2", first)
	if second <= first {
		t.Errorf("revision %d follows %d", second, first)
	}
	if late := update(t, c, "/registry/a", "3", first); late != 0 {
		t.Error("an update of an old revision wins")
	}
	if now, then := value(t, c, "/registry/a"), value(t, c, "/registry/a", clientv3.WithRev(first)); now != "2" || then != "1" {
		t.Errorf("now %q, then %q", now, then)
	}
	for _, key := range []string{"/registry/pods/a", "/registry/pods/b", "/registry/podsets/a"} {
		create(t, c, key, "1")
	}
	list, err := c.Get(t.Context(), "/registry/pods/", clientv3.WithPrefix(), clientv3.WithLimit(1))
	if err != nil || len(list.Kvs) != 1 || list.Count != 2 || !list.More {
		t.Errorf("a page of the list: %v, %v", list, err)
	}
	if _, err := c.Txn(t.Context()).If(clientv3.Compare(clientv3.ModRevision("/registry/a"), "=", second)).
		Then(clientv3.OpDelete("/registry/a")).Else(clientv3.OpGet("/registry/a")).Commit(); err != nil {
		t.Fatal(err)
	}
	if gone := value(t, c, "/registry/a"); gone != "(none)" {
		t.Errorf("a deleted key has the value %q", gone)
	}
}

func TestAWatchMissesNothingAndRepeatsNothing(t *testing.T) {
	c, _ := serve(t, t.TempDir())
	first := create(t, c, "/registry/a", "1")
	second := update(t, c, "/registry/a", "2", first)
	create(t, c, "/other/b", "1")
	ctx, stop := context.WithTimeout(t.Context(), most)
	defer stop()
	watch := c.Watch(ctx, "/registry/", clientv3.WithPrefix(), clientv3.WithRev(first), clientv3.WithPrevKV())
	var got []string
	for answer := range watch {
		if err := answer.Err(); err != nil {
			t.Fatal(err)
		}
		for _, event := range answer.Events {
			got = append(got, string(event.Kv.Value)+" after "+previous(event))
		}
		if len(got) == 2 { // what was is told; now what happens
			third := update(t, c, "/registry/a", "3", second)
			update(t, c, "/registry/a", "4", third)
		}
		if len(got) >= 4 {
			break
		}
	}
	if want := []string{"1 after ", "2 after 1", "3 after 2", "4 after 3"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func previous(e *clientv3.Event) string {
	if e.PrevKv == nil {
		return ""
	}
	return string(e.PrevKv.Value)
}

// The API server answers consistent reads from its cache when a watch says how far it is, and asks for that: a wrong
// answer would be a stale read, a late one a slow read.
func TestAWatchThatIsAskedSaysHowFarItIs(t *testing.T) {
	c, _ := serve(t, t.TempDir())
	ctx, stop := context.WithTimeout(clientv3.WithRequireLeader(t.Context()), most)
	defer stop()
	answers := c.Watch(ctx, "/registry/pods/", clientv3.WithPrefix(), clientv3.WithProgressNotify(), clientv3.WithCreatedNotify())
	<-answers
	for i := range 50 {
		key := fmt.Sprintf("/registry/%s/%d", []string{"pods", "other"}[i%2], i)
		wrote, told := create(t, c, key, "1"), false
		began := time.Now()
		if err := c.RequestProgress(ctx); err != nil {
			t.Fatal(err)
		}
		for answer := range answers {
			told = told || len(answer.Events) > 0
			if answer.IsProgressNotify() && answer.Header.Revision >= wrote {
				break
			}
		}
		if i%2 == 0 && !told {
			t.Fatalf("it says that it knows revision %d, but was not told of %s", wrote, key)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("it took %s to say so", took)
		}
	}
	if ctx.Err() != nil {
		t.Error("nothing was told")
	}
}

// Many streams under many writers: each is told everything once and in order.
func TestManyWatchesUnderLoad(t *testing.T) {
	c, _ := serve(t, t.TempDir())
	const writers, each = 4, 100
	ctx, stop := context.WithTimeout(t.Context(), 2*most)
	defer stop()
	var writing, watching sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			for i := range each {
				create(t, c, fmt.Sprintf("/registry/%d/%d", w, i), "1")
			}
		})
	}
	for range 20 {
		watching.Go(func() {
			seen, last := 0, int64(0)
			for answer := range c.Watch(clientv3.WithRequireLeader(ctx), "/registry/", clientv3.WithPrefix(), clientv3.WithRev(1)) {
				for _, event := range answer.Events {
					if event.Kv.ModRevision <= last {
						t.Errorf("revision %d after %d", event.Kv.ModRevision, last)
					}
					seen, last = seen+1, event.Kv.ModRevision
				}
				if seen >= writers*each {
					return
				}
			}
			t.Errorf("told of %d changes of %d", seen, writers*each)
		})
	}
	writing.Wait()
	watching.Wait()
}

func TestCompactionIsAsked(t *testing.T) {
	c, _ := serve(t, t.TempDir())
	first := create(t, c, "/registry/a", "1")
	update(t, c, "/registry/a", "2", first)
	if _, err := c.Compact(t.Context(), first); err != nil {
		t.Errorf("a compaction is refused: %v", err)
	}
	if got := value(t, c, "/registry/a"); got != "2" {
		t.Errorf("the key is %q after a compaction", got)
	}
	if _, err := c.Compact(t.Context(), first+1000); !errors.Is(err, rpctypes.ErrFutureRev) {
		t.Errorf("a compaction of what is to come: %v", err)
	}
	status, err := c.Status(t.Context(), c.Endpoints()[0])
	if err != nil || status.Version != datastore.EtcdVersion {
		t.Errorf("the store says that it is %v, %v", status, err)
	}
}

// The API server makes neither call; people with etcdctl do.
func TestPutAndDelete(t *testing.T) {
	c, _ := serve(t, t.TempDir())
	create(t, c, "/registry/b", "1")
	for i, want := range []string{"(none)", "v0", "v1"} {
		before := "(none)"
		answer, err := c.Put(t.Context(), "/registry/a", fmt.Sprintf("v%d", i), clientv3.WithPrevKV())
		if err != nil {
			t.Fatal(err)
		}
		if answer.PrevKv != nil {
			before = string(answer.PrevKv.Value)
		}
		if got := value(t, c, "/registry/a"); got != fmt.Sprintf("v%d", i) || before != want {
			t.Errorf("put v%d: it is %q, and was %q", i, got, before)
		}
		create(t, c, fmt.Sprintf("/registry/b%d", i), "1") // the key is not the last that was written
	}
	answer, err := c.Delete(t.Context(), "/registry/b", clientv3.WithPrefix(), clientv3.WithPrevKV())
	if err != nil || answer.Deleted != 4 || len(answer.PrevKvs) != 4 {
		t.Errorf("a delete of four keys: %v, %v", answer, err)
	}
	if got := value(t, c, "/registry/b1") + value(t, c, "/registry/a"); got != "(none)v2" {
		t.Errorf("after it there is %q", got)
	}
}

func TestALeaseEndsItsKeys(t *testing.T) {
	c, _ := serve(t, t.TempDir())
	lease, err := c.Grant(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Put(t.Context(), "/registry/leased", "1", clientv3.WithLease(lease.ID)); err != nil {
		t.Fatal(err)
	}
	until := time.Now().Add(most)
	for value(t, c, "/registry/leased") != "(none)" {
		if time.Now().After(until) {
			t.Fatal("the key outlives its lease")
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func TestAStopEndsWatchesAndKeepsWhatWasWritten(t *testing.T) {
	dir := t.TempDir()
	c, stop := serve(t, dir)
	wrote := create(t, c, "/registry/a", "1")
	watch := c.Watch(t.Context(), "/registry/", clientv3.WithPrefix(), clientv3.WithCreatedNotify())
	<-watch // it stands
	began := time.Now()
	if err := stop(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("an open watch delays the end by %s", took)
	}
	_ = c.Close()
	c, _ = serve(t, dir) // the old socket is in the way
	if got := value(t, c, "/registry/a"); got != "1" {
		t.Errorf("the key is %q after a restart", got)
	}
	if next := create(t, c, "/registry/b", "1"); next <= wrote {
		t.Errorf("revision %d follows %d", next, wrote)
	}
}

func TestTheSocketIsForRootAlone(t *testing.T) {
	dir := t.TempDir()
	serve(t, dir)
	info, err := os.Stat(filepath.Join(dir, "datastore.sock"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestASocketThatCannotBeHad(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "occupied", "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ socket, want, cure string }{
		"the path is too long":   {filepath.Join(dir, strings.Repeat("x", 120)), "listen on the datastore socket", "shorter data-dir"},
		"a folder is in its way": {filepath.Join(dir, "occupied"), "clear the datastore socket", ""},
		"there is no directory":  {filepath.Join(dir, "none", "sock"), "listen for the API server", ""},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), most)
		store, letGo, err := local.Open(ctx, local.Config{Dir: filepath.Join(dir, "db"), Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		err = datastore.Serve(ctx, store, c.socket, func() { t.Errorf("%s: called ready", name) })
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v", name, err)
		}
		var told *fault.Fault
		if c.cure != "" && (!errors.As(err, &told) || !strings.Contains(told.Cure(), c.cure)) {
			t.Errorf("%s: got %v", name, err)
		}
		letGo() // must not need the end of the context: the error would never be heard
		if ctx.Err() != nil {
			t.Errorf("%s: it took too long", name)
		}
		cancel()
	}
}
