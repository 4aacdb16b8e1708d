package datastore_test

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sys/unix"

	"github.com/skerry-io/skerry/datastore"
	"github.com/skerry-io/skerry/datastore/etcd"
	"github.com/skerry-io/skerry/datastore/local"
	"github.com/skerry-io/skerry/tests/certtest"
)

// contestant is a program that serves a datastore: its arguments get the directory appended after the first, it says on its output how it can
// be reached, and ends with its input.
type contestant struct {
	name    string
	program string
	args    func(dir string) []string
	// weaker says that a power cut may take what was answered.
	weaker bool
	// floor says that it keeps nothing: it shows what our server costs.
	floor bool
}

// engines are those that are there. Those of kine lie in a folder, as scripts/bench-datastore builds them.
func engines(t *testing.T, programs string) (all []contestant) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	authority, cert, key := certtest.New(t).Issue(t, memberAddress())
	for _, name := range []string{"skerry", keepsNothing, onlySyncs, "etcd"} {
		all = append(all, contestant{name: name, program: self, floor: strings.HasPrefix(name, "floor"), args: func(dir string) []string {
			return []string{"-test.run=^TestBenchServer$", "-test.timeout=1h", name, dir, authority, cert, key}
		}})
	}
	for _, driver := range []string{"modernc", "mattn"} {
		program := filepath.Join(programs, "kine-"+driver)
		if _, err := os.Stat(program); err != nil {
			t.Logf("kine over %s is left out: there is no %s", driver, program)
			continue
		}
		for _, level := range []string{"NORMAL", "FULL"} {
			all = append(all, contestant{name: "kine " + driver + " " + level, program: program, weaker: level == "NORMAL",
				args: func(dir string) []string { return []string{dir, level} }})
		}
	}
	return all
}

func memberAddress() netip.Addr { return netip.MustParseAddr("127.31.41.59") }

// TestBenchServer is one of our engines as a program. Run by itself it does nothing.
func TestBenchServer(t *testing.T) {
	if flag.NArg() != 5 {
		t.Skip("it is a part of the benchmark")
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	ready := func(at datastore.Endpoint) {
		if err := json.NewEncoder(os.Stdout).Encode(at); err != nil {
			t.Error(err)
		}
	}
	var err error
	switch dir := flag.Arg(1); flag.Arg(0) {
	case "etcd":
		err = serveEtcd(ctx, dir, ready)
	case keepsNothing, onlySyncs:
		err = serveFloor(ctx, dir, flag.Arg(0) == onlySyncs, ready)
	default:
		err = serveLocal(ctx, dir, ready)
	}
	if err != nil && ctx.Err() == nil {
		t.Error(err)
	}
}

func serveLocal(ctx context.Context, dir string, ready func(datastore.Endpoint)) error {
	store, done, err := local.Open(ctx, local.Config{Dir: dir, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer done()
	socket := filepath.Join(dir, "s.sock")
	return datastore.Serve(ctx, store, socket, func() { ready(datastore.Endpoint{URLs: []string{"unix://" + socket}}) })
}

// serveEtcd runs a member alone, with its own endpoint.
func serveEtcd(ctx context.Context, dir string, ready func(datastore.Endpoint)) error {
	c := etcd.Config{Dir: dir, Name: "bench", Address: memberAddress(), Log: slog.New(slog.DiscardHandler)}
	c.Peer.CAFile, c.Peer.CertFile, c.Peer.KeyFile = flag.Arg(2), flag.Arg(3), flag.Arg(4)
	c.Client = c.Peer
	m, err := etcd.Start(ctx, c)
	if err != nil {
		return err
	}
	return m.Run(ctx, func() { ready(m.Endpoint()) })
}

// running is an engine at work.
type running struct {
	*clientv3.Client
	t     *testing.T
	child *exec.Cmd
	input io.Closer
	began float64
	end   context.CancelFunc
}

// start runs an engine in a directory; with a delay each of its syncs takes so much longer.
func (e contestant) start(t *testing.T, dir string, delay time.Duration) *running {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(t.Context())
	r := &running{t: t, child: exec.CommandContext(ctx, e.program, e.args(dir)...), end: end}
	r.child.Stderr = os.Stderr
	input, err := r.child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	r.input = input
	output, err := r.child.StdoutPipe()
	if err == nil && delay > 0 {
		err = startSlow(ctx, r.child, delay)
	} else if err == nil {
		err = r.child.Start()
	}
	if err != nil {
		t.Fatalf("%s: %v", e.name, err)
	}
	lines := bufio.NewReader(output)
	line, err := lines.ReadString('\n')
	if err != nil {
		t.Fatalf("%s does not start: %v", e.name, err)
	}
	go func() { _, _ = io.Copy(io.Discard, lines) }()
	at := datastore.Endpoint{URLs: []string{strings.TrimSpace(line)}}
	if strings.HasPrefix(line, "{") {
		if err := json.Unmarshal([]byte(line), &at); err != nil {
			t.Fatal(err)
		}
	}
	if r.Client, err = at.Client(); err != nil {
		t.Fatal(err)
	}
	r.began = r.number("io", "write_bytes: %f")
	return r
}

// stop ends it in order, and gives how many bytes it had the kernel write to disks.
func (r *running) stop() (written float64) {
	r.t.Helper()
	defer r.end()
	_, _ = r.Client.Close(), r.input.Close()
	for waiting := true; waiting; { // it ends, but stays to be asked
		waiting = unix.Waitid(unix.P_PID, r.child.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR
	}
	written = r.number("io", "write_bytes: %f") - r.began
	if err := r.child.Wait(); err != nil {
		r.t.Errorf("%s: %v", r.child, err)
	}
	return written
}

// number reads one out of what the kernel says of the process.
func (r *running) number(file, form string) (found float64) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", r.child.Process.Pid, file))
	if err != nil {
		r.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if _, err := fmt.Sscanf(line, form, &found); err == nil {
			return found
		}
	}
	r.t.Fatalf("there is no %q in %s", form, file)
	return 0
}

// memory is what of the process is no file, in megabytes.
func (r *running) memory() float64 { return r.number("status", "RssAnon: %f") / 1000 }
