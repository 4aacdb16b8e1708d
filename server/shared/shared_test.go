package shared

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/skerry-io/skerry/datastore"
	"github.com/skerry-io/skerry/datastore/local"
	"github.com/skerry-io/skerry/internal/certs"
	"github.com/skerry-io/skerry/internal/durable"
	"github.com/skerry-io/skerry/internal/fault"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// names is a list as the one of the settings, shorter.
func names() []string {
	return []string{"tls/server-ca.crt", authority, "cred/encryption-config.json", "token", "agent-token"}
}

// store serves a datastore for the time of a test.
func store(t *testing.T) *clientv3.Client {
	t.Helper()
	dir, err := os.MkdirTemp("", "shared") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	opened, closeStore, err := local.Open(ctx, local.Config{Dir: dir, Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- datastore.Serve(ctx, opened, filepath.Join(dir, "s"), func() { close(ready) }) }()
	<-ready
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{"unix://" + filepath.Join(dir, "s")}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = client.Close()
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		closeStore()
		_ = os.RemoveAll(dir)
	})
	return client
}

// machine is a server as far as its files go.
type machine struct {
	Place
	t    *testing.T
	mu   sync.Mutex
	told []string
}

func newMachine(t *testing.T) *machine {
	return &machine{Place: Place{Dir: t.TempDir(), Names: names()}, t: t}
}

func (m *machine) put(name, text string) {
	m.t.Helper()
	if err := durable.WriteFile(m.path(name), []byte(text), modeOf(name)); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) lose(name string) {
	m.t.Helper()
	if err := os.Remove(m.path(name)); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) has(name string) string {
	text, _ := os.ReadFile(m.path(name))
	return string(text)
}

// first makes what the first server of a cluster has.
func (m *machine) first(secret string) *machine {
	m.t.Helper()
	key, err := certs.NewKey()
	if err != nil {
		m.t.Fatal(err)
	}
	text, err := certs.EncodeKey(key)
	if err != nil {
		m.t.Fatal(err)
	}
	m.put(authority, string(text))
	m.put("tls/server-ca.crt", "certificate of "+secret)
	m.put("token", secret)
	return m
}

// copyOf is a second server of the same cluster.
func copyOf(m *machine) *machine {
	m.t.Helper()
	files, err := m.Read()
	if err != nil {
		m.t.Fatal(err)
	}
	second := newMachine(m.t)
	if err := second.Install(files); err != nil {
		m.t.Fatal(err)
	}
	return second
}

func (m *machine) keeper(settings ...string) *Keeper {
	k := New(Config{Place: m.Place, Settings: settings, Secret: func() string { return m.has("token") }, Log: quiet()})
	k.OnChange(func(_ context.Context, names []string) {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.told = append(m.told, names...)
	})
	return k
}

func (m *machine) heard() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.told)
}

// run follows until the test, or the function that it gives, ends it.
func run(t *testing.T, k *Keeper, s Store) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- k.Run(ctx, s, sync.OnceFunc(func() { close(ready) })) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	select {
	case <-ready:
	case err := <-ended:
		ended <- nil
		t.Fatal(err)
	}
	return stop
}

func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for late := time.Now().Add(10 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(late) {
			t.Fatalf("in vain: %s", what)
		}
	}
}

func TestAChangeReachesTheOtherServers(t *testing.T) {
	s := store(t)
	a := newMachine(t).first("one")
	b := copyOf(a)
	ka, kb := a.keeper(), b.keeper()
	run(t, ka, s)
	run(t, kb, s)
	if len(a.heard())+len(b.heard()) > 0 {
		t.Errorf("told of a change that there was none of: %v %v", a.heard(), b.heard())
	}
	a.put("token", "two")
	a.put("cred/encryption-config.json", "keys")
	publish(t, ka)
	until(t, "the other server has the new token", func() bool { return b.has("token") == "two" && len(b.heard()) == 2 })
	if b.has("cred/encryption-config.json") != "keys" || len(a.heard()) > 0 {
		t.Errorf("b has %q, a was told %v", b.has("cred/encryption-config.json"), a.heard())
	}
	if info, err := os.Stat(b.path("token")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	b.put("agent-token", "for agents")
	publish(t, kb)
	until(t, "the other server has it", func() bool { return a.has("agent-token") == "for agents" })
	b.lose("agent-token")
	publish(t, kb)
	until(t, "what one server removes is removed on the other", func() bool { return a.has("agent-token") == "" })
}

func TestWhatWasMissedIsTakenAtTheStart(t *testing.T) {
	s := store(t)
	a := newMachine(t).first("one")
	b := copyOf(a)
	stop := run(t, b.keeper(), s)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	ka := a.keeper()
	run(t, ka, s)
	a.put("token", "two")
	publish(t, ka)
	b.put("token", "an older one")
	b.put("agent-token", "of the settings")
	run(t, b.keeper("agent-token"), s)
	if b.has("token") != "two" || !slices.Contains(b.heard(), "token") {
		t.Errorf("b has %q and was told %v", b.has("token"), b.heard())
	}
	until(t, "what the settings of one say reaches the other", func() bool { return a.has("agent-token") == "of the settings" })
}

func TestBothChangesAreKept(t *testing.T) {
	s := store(t)
	a := newMachine(t).first("one")
	b := copyOf(a)
	ka, kb := a.keeper(), b.keeper()
	run(t, ka, s)
	run(t, kb, s)
	var both sync.WaitGroup
	for k, change := range map[*Keeper]func(){ka: func() { a.put("token", "two") }, kb: func() { b.put("agent-token", "three") }} {
		both.Go(func() {
			change()
			if err := k.Publish(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
	for _, m := range []*machine{a, b} {
		until(t, "both changes are everywhere", func() bool { return m.has("token") == "two" && m.has("agent-token") == "three" })
	}
}

func TestAKeyThatIsRemovedComesBack(t *testing.T) {
	s := store(t)
	a := newMachine(t).first("one")
	run(t, a.keeper(), s)
	if _, err := s.Delete(t.Context(), Key); err != nil {
		t.Fatal(err)
	}
	until(t, "the key is there again", func() bool {
		answer, err := s.Get(t.Context(), Key)
		return err == nil && len(answer.Kvs) == 1
	})
}

func TestNobodyElseReadsThem(t *testing.T) {
	s := store(t)
	a := newMachine(t).first("a very secret token")
	run(t, a.keeper(), s)
	answer, err := s.Get(t.Context(), Key)
	if err != nil {
		t.Fatal(err)
	}
	files, err := a.Read()
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range slices.Collect(maps.Values(files)) {
		if bytes.Contains(answer.Kvs[0].Value, secret) {
			t.Errorf("the datastore holds %q", secret)
		}
	}
}

func refused(t *testing.T, err error, what string) {
	t.Helper()
	var told *fault.Fault
	if !errors.As(err, &told) || !strings.Contains(err.Error(), what) || told.Cure() == "" {
		t.Errorf("got %v, want a fault about %q", err, what)
	}
}

func TestAnotherClustersDatastoreIsRefused(t *testing.T) {
	s := store(t)
	run(t, newMachine(t).first("one").keeper(), s)
	b := newMachine(t).first("one")
	before, _ := b.Read()
	refused(t, b.keeper().Run(t.Context(), s, func() {}), "another cluster")
	err := Settle(t.Context(), s, b.Place, "one", func() (string, error) { return "", errors.New("made") })
	refused(t, err, "another cluster")
	if after, _ := b.Read(); !equal(before, after) {
		t.Error("files were touched")
	}
}

func TestSettle(t *testing.T) {
	s := store(t)
	a := newMachine(t)
	if err := Settle(t.Context(), s, a.Place, "", func() (string, error) { return "one", a.first("one").t.Context().Err() }); err != nil {
		t.Fatal(err)
	}
	never := func() (string, error) { return "", errors.New("made") }
	b := newMachine(t)
	refused(t, Settle(t.Context(), s, b.Place, "two", never), "the token is not the one")
	refused(t, Settle(t.Context(), s, b.Place, "", never), "no token")
	if known, err := b.Known(); known || err != nil {
		t.Errorf("files were made: %v", err)
	}
	for range 2 { // a second start needs no token
		if err := Settle(t.Context(), s, b.Place, "one", never); err != nil {
			t.Fatal(err)
		}
	}
	x, _ := a.Read()
	if y, _ := b.Read(); !equal(x, y) {
		t.Errorf("a has %d files, b %d", len(x), len(y))
	}
}

func TestTwoFirstServersAgree(t *testing.T) {
	s := store(t)
	a, b := newMachine(t), newMachine(t)
	err := Settle(t.Context(), s, b.Place, "one", func() (string, error) {
		b.first("one")
		return "one", Settle(t.Context(), s, a.Place, "one", func() (string, error) { return "one", a.first("one").t.Context().Err() })
	})
	if err != nil {
		t.Fatal(err)
	}
	x, _ := a.Read()
	if y, _ := b.Read(); !equal(x, y) {
		t.Error("they are not of one cluster")
	}
}

func TestDamage(t *testing.T) {
	s := store(t)
	a := newMachine(t).first("one")
	stop := run(t, a.keeper(), s)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	answer, err := s.Get(t.Context(), Key)
	if err != nil {
		t.Fatal(err)
	}
	good := string(answer.Kvs[0].Value)
	for name, value := range map[string]string{
		"nothing":          "",
		"cut off":          good[:len(good)/2],
		"another version":  strings.Replace(good, `"version":1`, `"version":2`, 1),
		"altered":          good[:len(good)-12] + "AAAA" + good[len(good)-8:],
		"another's marked": strings.Replace(good, `"cluster":"`, `"cluster":"0`, 1),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := s.Put(t.Context(), Key, value); err != nil {
				t.Fatal(err)
			}
			var told *fault.Fault
			if err := a.keeper().Run(t.Context(), s, func() {}); !errors.As(err, &told) || told.Cure() == "" {
				t.Errorf("with its own key: %v", err)
			}
			b := newMachine(t)
			if err := Settle(t.Context(), s, b.Place, "one", nil); !errors.As(err, &told) || told.Cure() == "" {
				t.Errorf("with the token: %v", err)
			}
			if files, err := b.Read(); len(files) > 0 || err != nil {
				t.Errorf("files were made: %d, %v", len(files), err)
			}
		})
	}
}

func TestAlone(t *testing.T) {
	var k *Keeper
	k.OnChange(nil)
	if err := k.Publish(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestPublishDoesNotWaitForEver(t *testing.T) {
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer stop()
	refused(t, newMachine(t).first("one").keeper().Publish(ctx), "tell the other servers")
}
