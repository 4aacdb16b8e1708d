package etcd

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
)

// order tells a process which member it is.
type order struct {
	Dir, Name       string
	Address, Behind netip.Addr
	Peer, Client    Certificates
	Members         []string
	Usual           bool // with the product's own numbers, and not those for tests
}

// TestProcess is a member in a process of its own, which is killed and frozen. Run by itself it does nothing.
func TestProcess(t *testing.T) {
	var o order
	stdin := json.NewDecoder(os.Stdin)
	if stdin.Decode(&o) != nil {
		t.Skip("it is a part of other tests")
	}
	c := Config{Dir: o.Dir, Name: o.Name, Address: o.Address, Peer: o.Peer, Client: o.Client, Members: o.Members, Tuning: quick(),
		Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))}
	if o.Usual {
		c.Tuning = Tuning{}
	}
	c.Tuning.adjust = func(e *embed.Config) {
		at := c
		at.Address = o.Behind
		e.ListenPeerUrls[0], e.ListenClientUrls[0] = parsed(at.url(PeerPort)), parsed(at.url(ClientPort))
	}
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // ends with the parent
		stop()
	}()
	m, err := Start(ctx, c.tuned())
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Run(ctx, func() {}); err != nil {
		t.Fatal(err)
	}
}

// process is a member in one.
type process struct {
	t     testing.TB
	order order
	c     *clientv3.Client
	links *links
	n     int

	mu    sync.Mutex // guards command and stdin
	run   *exec.Cmd
	stdin io.Closer
}

func (p *process) start() {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	program, err := os.Executable()
	if err != nil {
		p.t.Fatal(err)
	}
	p.run = exec.Command(program, "-test.run=^TestProcess$") //nolint:noctx // it is killed
	p.run.Stderr = os.Stderr
	stdin, err := p.run.StdinPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	p.stdin = stdin
	if err := p.run.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.links.started(p.n, p.run.Process.Pid)
	if err := json.NewEncoder(stdin).Encode(p.order); err != nil {
		p.t.Fatal(err)
	}
}

func (p *process) signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.run.Process.Signal(s)
}

// kill ends the process at once.
func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	p.over()
}

// over waits for the process to end.
func (p *process) over() {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.run.Wait()
	_ = p.stdin.Close()
}

// processes are a cluster of that many, which can be reached and voted for.
func processes(t testing.TB, s *site, size int, usual bool) ([]*process, *links) {
	t.Helper()
	net, all := newLinks(t), []*process{}
	for n := 1; n <= size; n++ {
		var members []string
		if n > 1 {
			members = []string{s.member(1).ClientURL()}
		}
		p := newProcess(t, s, net, n, s.member(n, members...), usual)
		put(t, p.c, "/registry/up", p.order.Name)
		all = append(all, p)
	}
	return all, net
}

// newProcess starts a member behind links.
func newProcess(t testing.TB, s *site, net *links, n int, c Config, usual bool) *process {
	t.Helper()
	behind := s.member(100 + n).Address
	net.serve(n, c.Address, behind)
	p := &process{t: t, links: net, n: n, order: order{Dir: c.Dir, Name: c.Name, Address: c.Address, Behind: behind, Peer: c.Peer, Client: c.Client, Members: c.Members, Usual: usual}}
	var err error
	if p.c, err = c.tuned().local().Client(); err != nil {
		t.Fatal(err)
	}
	p.start()
	t.Cleanup(func() {
		_ = p.c.Close()
		p.kill()
	})
	return p
}
