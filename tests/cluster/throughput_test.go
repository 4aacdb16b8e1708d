package cluster_test

import (
	"context"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/skerry-io/skerry/tests/testhost"
)

// TestThroughput prints how much one TCP connection carries between pods of two nodes, beside what the same hosts carry
// without a cluster, and how long kubectl cp takes beside a plain connection. It judges nothing: what is too slow is for a
// person to say, on a machine that does nothing else.
func TestThroughput(t *testing.T) {
	if os.Getenv("SKERRY_MEASURE") == "" {
		t.Skip("a measurement, for a quiet machine: SKERRY_MEASURE=1 runs it")
	}
	for _, backend := range []string{"vxlan", "host-gw", "wireguard-native"} {
		t.Run(backend, func(t *testing.T) { throughput(t, backend) })
	}
}

func throughput(t *testing.T, backend string) {
	c := newCluster(t, "flannel-backend: "+backend+"\n", []string{busybox})
	a := c.newAgent(t, "agent", nil)
	c.start(t)
	c.pair(t)
	here, there := c.pod(t, "web-server").Status.PodIP, c.pod(t, "web-agent").Status.PodIP
	near, far := c.host.Pod(here), a.host.Pod(there)
	for range 3 {
		t.Logf("host to host: %.2f Gbit/s", flow(t, a.host.Listen(a.host.Address()+":0"), c.host.Dial))
		t.Logf("pod to pod:   %.2f Gbit/s", flow(t, far.Listen(there+":0"), near.Dial))
	}
	if backend == "vxlan" {
		t.Logf("100 MiB over a plain connection: %v", direct(t, a.host, c.host).Round(time.Millisecond))
		largeCopy(t, c, "web-agent")
	}
}

type dialer func(ctx context.Context, network, address string) (net.Conn, error)

// flow sends for three seconds and returns what arrived, in Gbit/s.
func flow(t *testing.T, to net.Listener, dial dialer) float64 {
	t.Helper()
	const lasts = 3 * time.Second
	received := sink(to)
	conn, err := dial(t.Context(), "tcp", to.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	begin, block := time.Now(), make([]byte, 128<<10)
	for time.Since(begin) < lasts {
		if _, err := conn.Write(block); err != nil {
			t.Fatal(err)
		}
	}
	_ = conn.Close()
	n := <-received
	return float64(n) * 8 / 1e9 / time.Since(begin).Seconds()
}

// direct is how long a file of 100 MiB takes from one host's disk to the other's.
func direct(t *testing.T, to, from *testhost.Host) time.Duration {
	t.Helper()
	to.Write("/tmp/direct", nil)
	from.Write("/tmp/direct", []byte(strings.Repeat("0123456789abcdef", 100<<20/16)))
	listener := to.Listen(to.Address() + ":0")
	done := make(chan error, 1)
	go func() { done <- receive(listener, to.Path("/tmp/direct")) }()
	begin := time.Now()
	conn, err := from.Dial(t.Context(), "tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(from.Path("/tmp/direct"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	if _, err := io.Copy(conn, file); err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return time.Since(begin)
}

func receive(listener net.Listener, path string) error {
	conn, err := listener.Accept()
	if err != nil {
		return err
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	if _, err := io.Copy(file, conn); err != nil {
		return err
	}
	return file.Close()
}

// sink takes one connection and says how many bytes came.
func sink(listener net.Listener) <-chan int64 {
	received := make(chan int64, 1)
	go func() {
		defer func() { _ = listener.Close() }()
		conn, err := listener.Accept()
		if err != nil {
			received <- 0
			return
		}
		n, _ := io.CopyBuffer(struct{ io.Writer }{io.Discard}, conn, make([]byte, 128<<10))
		received <- n
	}()
	return received
}
