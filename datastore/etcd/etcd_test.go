package etcd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/tests/certtest"
)

// most is how long anything may take that is waited for.
const most = 40 * time.Second

// claims is the port by which tests tell each other which networks are taken.
const claims = 2378

// quick makes elections and leases short.
func quick() Tuning {
	return Tuning{Heartbeat: 50 * time.Millisecond, Election: 500 * time.Millisecond}
}

func issue(t testing.TB, by *certtest.Authority, address netip.Addr) (c Certificates) {
	t.Helper()
	c.CAFile, c.CertFile, c.KeyFile = by.Issue(t, address)
	return c
}

// site is a cluster in the making: authorities, and addresses that no other test has.
type site struct {
	testing.TB
	peers, clients *certtest.Authority
	network        int
	log            *slog.Logger
}

func newSite(t testing.TB) *site {
	t.Helper()
	return &site{TB: t, peers: certtest.New(t), clients: certtest.New(t), network: claim(t), log: slog.New(slog.NewTextHandler(&testLog{t: t}, nil))}
}

// claim gives a network that no other test has, in this process or another, for as long as this one goes on.
func claim(t testing.TB) (network int) {
	t.Helper()
	for range 100 {
		network = 1 + rand.IntN(250<<8)
		if l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp4", netip.AddrPortFrom(within127(network, 254), claims).String()); err == nil {
			t.Cleanup(func() { _ = l.Close() })
			return network
		}
	}
	t.Fatal("no network of this machine's loopback interface is free")
	return 0
}

func within127(network, host int) netip.Addr {
	return netip.AddrFrom4([4]byte{127, byte(1 + network>>8), byte(network), byte(host)})
}

// testLog shows what members say when a test fails; nothing after its end.
type testLog struct {
	mu    sync.Mutex
	t     testing.TB
	ended bool
}

func (l *testLog) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ended && l.t.Context().Err() == nil {
		l.t.Log(string(bytes.TrimSpace(text)))
	}
	return len(text), nil
}

// member is the n-th server's configuration.
func (s *site) member(n int, members ...string) Config {
	s.Helper()
	address := within127(s.network, n)
	return Config{Dir: filepath.Join(s.TempDir(), "etcd"), Name: fmt.Sprintf("server-%d", n), Address: address, Peer: issue(s, s.peers, address),
		Client: issue(s, s.clients, address), Members: members, Tuning: quick(), Log: s.log.With("on", n)}
}

// running is a member whose Run goes on.
type running struct {
	*Member
	t     testing.TB
	c     *clientv3.Client
	ready chan struct{}
	stop  context.CancelFunc
	ended chan error
}

// run starts a member and does not wait until it is ready.
func run(t testing.TB, c Config) *running {
	t.Helper()
	r, err := try(t, c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func try(t testing.TB, c Config) (*running, error) {
	t.Helper()
	starting, stop := context.WithTimeout(t.Context(), most)
	defer stop()
	m, err := Start(starting, c)
	if err != nil {
		return nil, err
	}
	client, err := m.Endpoint().Client()
	if err != nil {
		t.Fatal(err)
	}
	r := &running{Member: m, t: t, c: client, ready: make(chan struct{}), ended: make(chan error, 1)}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	r.stop = cancel
	go func() { r.ended <- m.Run(ctx, sync.OnceFunc(func() { close(r.ready) })) }()
	t.Cleanup(func() {
		_ = client.Close()
		cancel()
		select {
		case err := <-r.ended:
			r.ended <- err
		case <-time.After(most):
			t.Error("a member does not end")
		}
	})
	return r, nil
}

// up waits until a member is ready.
func (r *running) up() *running {
	r.t.Helper()
	select {
	case <-r.ready:
	case err := <-r.ended:
		r.ended <- err
		r.t.Fatalf("%s ended: %v", r.config.Name, err)
	case <-time.After(most):
		r.t.Fatalf("%s is not ready", r.config.Name)
	}
	return r
}

// end stops a member in order and gives its error.
func (r *running) end() error {
	r.t.Helper()
	r.stop()
	return r.over()
}

// over waits for the end of a member.
func (r *running) over() error {
	r.t.Helper()
	select {
	case err := <-r.ended:
		r.ended <- err
		return err
	case <-time.After(most):
		r.t.Fatalf("%s does not end", r.config.Name)
		return nil
	}
}

// three are the members of a cluster, all ready.
func cluster(t testing.TB, s *site, size int) []*running {
	t.Helper()
	all := []*running{run(t, s.member(1)).up()}
	for n := 2; n <= size; n++ {
		all = append(all, run(t, s.member(n, all[0].config.ClientURL())).up())
	}
	return all
}

func put(t testing.TB, c *clientv3.Client, key, value string) int64 {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), most)
	defer stop()
	for {
		answer, err := c.Put(ctx, key, value)
		if err == nil {
			return answer.Header.Revision
		}
		if !wait(ctx, 50*time.Millisecond) {
			t.Fatalf("put %s: %v", key, err)
		}
	}
}

func value(t testing.TB, c *clientv3.Client, key string) string {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), most)
	defer stop()
	answer, err := c.Get(ctx, key)
	if err != nil {
		t.Fatalf("get %s: %v", key, err)
	}
	if len(answer.Kvs) == 0 {
		return "(none)"
	}
	return string(answer.Kvs[0].Value)
}

// refusal wants a fault with a cure, that says this.
func refusal(t testing.TB, err error, words ...string) {
	t.Helper()
	var told *fault.Fault
	if !errors.As(err, &told) || told.Cure() == "" {
		t.Fatalf("want a fault with a cure, got %v", err)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q does not say %q", err, word)
		}
	}
}
