package tunnel

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestAServerReachesANode(t *testing.T) {
	leaks(t)
	l := newLab(t)
	l.run(l.client("a", l.address()))
	target := listen(t, echo)
	for range 3 {
		conn := l.dial("a", target)
		fmt.Fprintln(conn, "hello")
		if line, err := bufio.NewReader(conn).ReadString('\n'); line != "hello\n" {
			t.Fatalf("%q, %v", line, err)
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
	if list := l.tunnels.Tunnels(); len(list) != 1 || list[0].Node != "a" || !l.tunnels.Has("a") {
		t.Errorf("the tunnels are %v", list)
	}
}

func TestLogsComeAsTheyAreWritten(t *testing.T) {
	leaks(t)
	l := newLab(t)
	l.run(l.client("a", l.address()))
	next := make(chan string)
	gone := make(chan struct{})
	conn := l.dial("a", listen(t, func(c net.Conn) {
		defer close(gone)
		for line := range next {
			if _, err := fmt.Fprintln(c, line); err != nil {
				return
			}
		}
		_, _ = io.Copy(io.Discard, c)
	}))
	lines := bufio.NewReader(conn)
	for i := range 20 {
		want := fmt.Sprintf("line %d", i)
		next <- want
		if got, err := lines.ReadString('\n'); got != want+"\n" {
			t.Fatalf("%q, %v", got, err)
		}
		if i == 10 {
			time.Sleep(3 * quick().silence) // an idle stream is no dead one
		}
	}
	close(next)
	_ = conn.Close()
	<-gone // the node's side ends with the server's
}

// pseudo is data that no one can guess, of some megabytes, twice the same.
func pseudo(megabytes int) io.Reader {
	return io.LimitReader(rand.NewChaCha8([32]byte{1}), int64(megabytes)<<20)
}

func sum(t *testing.T, r io.Reader) string {
	t.Helper()
	hash := sha256.New()
	n, err := io.Copy(hash, r)
	if err != nil {
		t.Errorf("after %d bytes: %v", n, err)
	}
	return fmt.Sprintf("%d bytes, %x", n, hash.Sum(nil))
}

func TestMuchDataBothWays(t *testing.T) {
	leaks(t)
	const megabytes = 100
	l := newLab(t)
	l.run(l.client("a", l.address()))
	want := sum(t, pseudo(megabytes))

	up := make(chan string, 1)
	conn := l.dial("a", listen(t, func(c net.Conn) { up <- sum(t, c) }))
	if _, err := io.Copy(conn, pseudo(megabytes)); err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	if got := <-up; got != want {
		t.Errorf("up: got %s, want %s", got, want)
	}

	conn = l.dial("a", listen(t, func(c net.Conn) { _, _ = io.Copy(c, pseudo(megabytes)) }))
	if got := sum(t, conn); got != want {
		t.Errorf("down: got %s, want %s", got, want)
	}
}

// A reader that is slow at first makes full buffers in both directions. That must not become a deadlock, and nothing
// else in the tunnel may wait for it.
func TestASlowReaderStopsNobody(t *testing.T) {
	leaks(t)
	l := newLab(t)
	l.run(l.client("a", l.address()))
	target := listen(t, echo)
	slow := l.dial("a", target)
	var writer sync.WaitGroup
	writer.Go(func() {
		if _, err := io.Copy(slow, pseudo(40)); err != nil {
			t.Error(err)
		}
	})
	time.Sleep(300 * time.Millisecond) // by now everything is full
	quickOne := l.dial("a", target)
	var got string
	done := make(chan struct{})
	go func() {
		defer close(done)
		got = sum(t, io.LimitReader(quickOne, 20<<20))
	}()
	if _, err := io.Copy(quickOne, pseudo(20)); err != nil {
		t.Error(err)
	}
	<-done
	if want := sum(t, pseudo(20)); got != want {
		t.Errorf("beside a slow one: got %s, want %s", got, want)
	}
	if got, want := sum(t, io.LimitReader(slow, 40<<20)), sum(t, pseudo(40)); got != want {
		t.Errorf("the slow one: got %s, want %s", got, want)
	}
	writer.Wait()
}

func TestHTTPThroughTheTunnel(t *testing.T) {
	leaks(t)
	l := newLab(t)
	l.run(l.client("a", l.address()))
	backend := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			_, _ = io.Copy(w, r.Body)
			return
		}
		conn, both, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		_, _ = io.Copy(conn, both)
	})}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = backend.Serve(listener) }()
	defer backend.Close()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return l.tunnels.Dial(ctx, "a", listener.Addr().String())
	}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	answer, err := client.Post("http://node/", "text/plain", strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	if string(body) != "body" {
		t.Errorf("got %q", body)
	}
	request, _ := http.NewRequest(http.MethodGet, "http://node/", http.NoBody)
	request.Header.Set("Connection", "Upgrade")
	request.Header.Set("Upgrade", "echo")
	if answer, err = client.Do(request); err != nil || answer.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v, %v", answer, err)
	}
	both := answer.Body.(io.ReadWriteCloser)
	defer both.Close()
	fmt.Fprintln(both, "upgraded")
	if line, err := bufio.NewReader(both).ReadString('\n'); line != "upgraded\n" {
		t.Errorf("%q, %v", line, err)
	}
}

func TestWhatANodeRefuses(t *testing.T) {
	leaks(t)
	l := newLab(t)
	l.run(l.client("a", l.address()))
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = nobody.Close()
	for to, want := range map[string]string{
		"192.168.1.1:443":        "servers may not reach",
		nobody.Addr().String():   "connection refused",
		"[2001:db8::1]:80":       "servers may not reach",
		"home.example:80":        "servers may not reach",
		"127.0.0.1:1/../x y":     "node a",
		strings.Repeat("x", 300): "servers may not reach",
	} {
		_, err := l.tunnels.Dial(t.Context(), "a", to)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", to, err)
		}
	}
	l.dial("a", listen(t, echo)) // and the tunnel is as good as before
}

func TestANodeWithoutATunnel(t *testing.T) {
	leaks(t)
	l := newLab(t)
	l.tunnels.patience = 50 * time.Millisecond
	if _, err := l.tunnels.Dial(t.Context(), "a", "127.0.0.1:10250"); err == nil || !strings.Contains(err.Error(), "node a has no tunnel to this server") {
		t.Errorf("got %v", err)
	}
	l.tunnels.patience = 10 * time.Second
	target := listen(t, echo)
	go func() {
		time.Sleep(100 * time.Millisecond)
		l.run(l.client("a", l.address()))
	}()
	l.dial("a", target) // waits for the node
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := l.tunnels.Dial(ctx, "b", target); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestADialEndsWithItsContext(t *testing.T) {
	leaks(t)
	l := newLab(t)
	c := l.client("a", l.address())
	hangs := make(chan struct{})
	c.config.Dial = func(ctx context.Context, _ string) (net.Conn, error) {
		<-ctx.Done() // the node's own dial ends too
		close(hangs)
		return nil, ctx.Err()
	}
	l.run(c)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := l.tunnels.Dial(ctx, "a", "127.0.0.1:1"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	<-hangs
}

func TestDeadlines(t *testing.T) {
	leaks(t)
	l := newLab(t)
	l.run(l.client("a", l.address()))
	target := listen(t, func(c net.Conn) { _, _ = io.ReadFull(c, make([]byte, 1)); time.Sleep(time.Second) })
	conn := l.dial("a", target)
	_ = conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a late read: %v", err)
	}
	conn = l.dial("a", target)
	_ = conn.SetWriteDeadline(time.Now())
	if _, err := conn.Write([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a late write: %v", err)
	}
	_ = conn.SetWriteDeadline(time.Time{})
	if _, err := conn.Write([]byte("x")); err != nil {
		t.Errorf("the deadline was lifted: %v", err)
	}
	_ = conn.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	if _, err := io.Copy(conn, pseudo(20)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a write that nobody reads: %v", err)
	}
	conn = l.dial("a", target)
	_ = conn.Close()
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a read after the close: %v", err)
	}
}
