package secrets

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

	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/value"

	"github.com/skerry-io/skerry/datastore"
	"github.com/skerry-io/skerry/datastore/local"
)

// most is how long anything in a test may take.
const most = 20 * time.Second

// site is a datastore as the API server reaches it, and what it should hold.
type site struct {
	dir     string
	storage storagebackend.Config
	client  *clientv3.Client

	mu    sync.Mutex
	known map[string]string // what each Secret was when its writer was last answered
}

func newSite(t *testing.T) *site {
	t.Helper()
	store, done, err := local.Open(t.Context(), local.Config{Dir: filepath.Join(t.TempDir(), "db"), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	folder, err := os.MkdirTemp("", "s")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- datastore.Serve(ctx, store, folder+"/s", func() { close(ready) }) }()
	t.Cleanup(func() {
		stop()
		if err := errors.Join(<-ended, os.RemoveAll(folder)); err != nil {
			t.Error(err)
		}
		done()
	})
	<-ready
	s := &site{dir: t.TempDir(), known: map[string]string{}}
	s.storage.Prefix = "/registry"
	s.storage.Transport.ServerList = []string{"unix://" + folder + "/s"}
	if s.client, err = (datastore.Endpoint{URLs: s.storage.Transport.ServerList}).Client(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.client.Close() })
	return s
}

// open begins a life of a server.
func (s *site) open(t *testing.T, change func(*Config)) *Secrets {
	t.Helper()
	c := Config{File: filepath.Join(s.dir, "cred", "encryption-config.json"), Enabled: true, Log: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&c)
	}
	opened, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	opened.grace = 20 * time.Millisecond
	opened.Storage(s.storage, "/secrets")
	return opened
}

func keyOf(name string) string { return "/registry/secrets/default/" + name }

// put writes a Secret as the API server does, in one request.
func (s *site) put(ctx context.Context, by *Secrets, name, text string) error {
	ctx, end := context.WithCancel(ctx)
	defer end()
	answer, err := s.client.Get(ctx, keyOf(name))
	if err != nil {
		return err
	}
	var revision int64
	if len(answer.Kvs) > 0 {
		revision = answer.Kvs[0].ModRevision
		if _, err := reveal(by, keyOf(name), answer.Kvs[0].Value); err != nil {
			return err
		}
	}
	stored, err := by.stored.TransformToStorage(ctx, []byte(text), value.DefaultContext(keyOf(name)))
	if err != nil {
		return err
	}
	done, err := s.client.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(keyOf(name)), "=", revision)).
		Then(clientv3.OpPut(keyOf(name), string(stored))).Else(clientv3.OpGet(keyOf(name))).Commit()
	if err != nil {
		return err
	}
	if !done.Succeeded {
		return s.put(ctx, by, name, text) // as the API server does
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known[name] = text
	return nil
}

func reveal(by *Secrets, key string, stored []byte) (string, error) {
	text, _, err := by.stored.TransformFromStorage(context.Background(), stored, value.DefaultContext(key))
	return string(text), err
}

// fill writes a number of Secrets.
func (s *site) fill(t *testing.T, by *Secrets, count int) {
	t.Helper()
	for i := range count {
		if err := s.put(t.Context(), by, fmt.Sprintf("filled-%d", i), fmt.Sprintf("text of %d", i)); err != nil {
			t.Fatal(err)
		}
	}
}

// raw gives what is stored, by name.
func (s *site) raw(t *testing.T) map[string][]byte {
	t.Helper()
	answer, err := s.client.Get(t.Context(), keyOf(""), clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]byte{}
	for _, kv := range answer.Kvs {
		all[strings.TrimPrefix(string(kv.Key), keyOf(""))] = kv.Value
	}
	return all
}

// check sees that a server reads every Secret as it was written, and under which keys they are.
func (s *site) check(t *testing.T, by *Secrets, under ...string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.raw(t)
	if len(all) != len(s.known) {
		t.Errorf("%d Secrets are stored, and %d were written", len(all), len(s.known))
	}
	var found []string
	for name, stored := range all {
		if text, err := reveal(by, keyOf(name), stored); err != nil || text != s.known[name] {
			t.Errorf("%s is %q, want %q: %v", name, text, s.known[name], err)
		}
		if key := nameOf(stored); !slices.Contains(found, key) {
			found = append(found, key)
		}
	}
	slices.Sort(found)
	if slices.Sort(under); under != nil && !slices.Equal(found, under) {
		t.Errorf("Secrets are under %q, want %q", found, under)
	}
}

// running runs a server's part until the test ends, or the returned function is called.
func running(t *testing.T, s *Secrets) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, func() {}) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}
