package endpoint

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// load asks without a pause until stop is called, which gives the number of answers and the longest wait.
func load(t *testing.T, client *http.Client, url string, workers int) (stop func() (answers int, longest time.Duration)) {
	t.Helper()
	var asking sync.WaitGroup
	var mu sync.Mutex // guards answers, longest
	var answers int
	var longest time.Duration
	end := make(chan struct{})
	for range workers {
		asking.Go(func() {
			for {
				select {
				case <-end:
					return
				case <-time.After(5 * time.Millisecond):
				}
				began := time.Now()
				status, body := get(t, client, url, "")
				if status != http.StatusOK {
					t.Errorf("got %d %q", status, body)
				}
				mu.Lock()
				answers++
				longest = max(longest, time.Since(began))
				mu.Unlock()
			}
		})
	}
	return func() (int, time.Duration) {
		close(end)
		asking.Wait()
		return answers, longest
	}
}

func TestNoRequestThatReadsFailsWhenAServerIsLost(t *testing.T) {
	for name, lose := range map[string]func(*machine){
		"its power is gone": func(m *machine) { m.power(false) },
		"its links are cut": func(m *machine) { m.power(false); m.power(true); m.starting.Store(true) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			first, second := c.machine(t, "first", sayName), c.machine(t, "second", sayName)
			at := c.front(t, newList(first.url, second.url))
			client := c.caller(t, c.clients[kubelet])
			stop := load(t, client, at+"/api", 8)
			for began := time.Now(); first.asked.Load() == 0 && time.Since(began) < patient; {
				time.Sleep(500 * time.Millisecond)
			}
			if first.asked.Load() == 0 || second.asked.Load() > 0 {
				t.Errorf("the first got %d requests, the second %d", first.asked.Load(), second.asked.Load())
			}
			lose(first)
			time.Sleep(limit + time.Second)
			answers, longest := stop()
			if longest > limit || second.asked.Load() == 0 {
				t.Errorf("%d answers, %d by the second, the slowest after %s", answers, second.asked.Load(), longest)
			}
			t.Logf("%d answers, the slowest after %s", answers, longest)
		})
	}
}

// events is a watch: one event at once, and one whenever tick closes.
func events(name string, w http.ResponseWriter, r *http.Request) {
	if !isWatch(r) {
		sayName(name, w, r)
		return
	}
	fmt.Fprintf(w, "ADDED by %s\n", name)
	_ = http.NewResponseController(w).Flush()
	<-r.Context().Done()
}

// openWatch opens a watch and gives who serves it.
func openWatch(t *testing.T, client *http.Client, at string) (by string, lines *bufio.Reader) {
	t.Helper()
	answer, err := client.Get(at + "/api/v1/pods?watch=1")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { answer.Body.Close() })
	lines = bufio.NewReader(answer.Body)
	line, err := lines.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(strings.TrimSpace(line), "ADDED by "), lines
}

func TestWatchesOfALostServerEndSoThatTheyGoOnElsewhere(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	first, second := c.machine(t, "first", events), c.machine(t, "second", events)
	at := c.front(t, newList(first.url, second.url))
	client := c.caller(t, c.clients[kubelet])
	by, lines := openWatch(t, client, at)
	if by != "first" {
		t.Fatalf("served by %s", by)
	}
	time.Sleep(2 * listenFor)
	if first.probes.Load() > 0 {
		t.Error("a quiet watch is not asked about, as that costs the link more than all else")
	}
	began := time.Now()
	first.power(false)
	if status, by := get(t, client, at+"/api", ""); status != http.StatusOK || by != "second" { // whoever asks for anything finds out for all
		t.Errorf("who asks is answered %d by %s", status, by)
	}
	if line, err := lines.ReadString('\n'); err != io.EOF || line != "" {
		t.Errorf("the watch ended with %q, %v; want an ordinary end", line, err)
	}
	by, _ = openWatch(t, client, at)
	if took := time.Since(began); took > limit || by != "second" {
		t.Errorf("the next watch is served by %s after %s", by, took)
	}
	t.Logf("after %s", time.Since(began))
}

func TestASilentServerIsKeptWhileNoneIsBetter(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	first, second := c.machine(t, "first", events), c.machine(t, "second", events)
	at := c.front(t, newList(first.url, second.url))
	client := c.caller(t, c.clients[kubelet])
	second.starting.Store(true)
	_, lines := openWatch(t, client, at)
	ended := make(chan error, 1)
	go func() {
		_, err := lines.ReadByte()
		ended <- err
	}()
	first.power(false)
	asking, stopAsking := context.WithCancel(t.Context())
	defer stopAsking()
	go func() { // somebody waits all the time
		request, _ := http.NewRequestWithContext(asking, http.MethodGet, at+"/api", http.NoBody)
		if answer, err := client.Do(request); err == nil {
			_ = answer.Body.Close()
		}
	}()
	select {
	case err := <-ended:
		t.Fatalf("the watch ended (%v) although there was no better server", err)
	case <-time.After(limit):
	}
	second.starting.Store(false)
	select {
	case <-ended:
	case <-time.After(2 * limit):
		t.Fatal("the watch did not end although there is a better server now")
	}
}

func TestAServerThatIsStartingIsLeftForOneThatIsNot(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	first, second := c.machine(t, "first", sayName), c.machine(t, "second", sayName)
	first.starting.Store(true)
	at := c.front(t, newList(first.url, second.url))
	client := c.caller(t, c.clients[kubelet])
	for range 3 {
		if status, body := get(t, client, at+"/api", ""); status != http.StatusOK || body != "second" {
			t.Errorf("got %d %q", status, body)
		}
	}
	if n := first.asked.Load(); n > 1 {
		t.Errorf("the server that is starting was asked %d times", n)
	}
}

func TestTheOnlyServerIsWaitedForWhileItStarts(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	only := c.machine(t, "only", sayName)
	only.starting.Store(true)
	at := c.front(t, newList(only.url))
	timer := time.AfterFunc(300*time.Millisecond, func() { only.starting.Store(false) })
	defer timer.Stop()
	if status, body := get(t, c.caller(t, c.clients[kubelet]), at+"/api", ""); status != http.StatusOK || body != "only" {
		t.Errorf("got %d %q", status, body)
	}
	if n := only.probes.Load(); n > 0 {
		t.Errorf("the only server was asked %d times whether it is there", n)
	}
}

func TestAWriteIsSentAgainOnlyWhenNoServerCanHaveSeenIt(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	swallow := func(_ string, w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		panic(http.ErrAbortHandler) // the connection ends without an answer
	}
	repeat := func(name string, w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s got %d bytes", name, len(body))
	}
	for name, test := range map[string]struct {
		method string
		first  func(t *testing.T) string
		status int
		want   string
	}{
		"POST, nobody listens":         {http.MethodPost, func(t *testing.T) string { return "https://" + freeAddress(t) }, http.StatusOK, "second got 100000 bytes"},
		"DELETE, nobody listens":       {http.MethodDelete, func(t *testing.T) string { return "https://" + freeAddress(t) }, http.StatusOK, "second got 100000 bytes"},
		"POST, taken and not answered": {http.MethodPost, func(t *testing.T) string { return c.machine(t, "first", swallow).url }, http.StatusBadGateway, "may have been carried out"},
		"PUT, taken and not answered":  {http.MethodPut, func(t *testing.T) string { return c.machine(t, "first", swallow).url }, http.StatusBadGateway, "may have been carried out"},
	} {
		t.Run(name, func(t *testing.T) {
			second := c.machine(t, "second", repeat)
			at := c.front(t, newList(test.first(t), second.url))
			request, err := http.NewRequestWithContext(t.Context(), test.method, at+"/api/v1/pods", bytes.NewReader(make([]byte, 100000)))
			if err != nil {
				t.Fatal(err)
			}
			answer, err := c.caller(t, c.clients[kubelet]).Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			text, _ := io.ReadAll(answer.Body)
			if answer.StatusCode != test.status || !strings.Contains(string(text), test.want) {
				t.Errorf("got %d %q", answer.StatusCode, text)
			}
			if answer.StatusCode == http.StatusBadGateway && (answer.Header.Get("Retry-After") != "" || second.asked.Load() > 0) {
				t.Error("it invites to send the same again, or has done so")
			}
		})
	}
}

func TestARequestThatBringsServersDownIsNotSentForEver(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	only := c.machine(t, "only", func(string, http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	at := c.front(t, newList(only.url))
	status, body := get(t, c.caller(t, c.clients[kubelet]), at+"/api", "")
	if status != http.StatusBadGateway || only.asked.Load() > maxLost {
		t.Errorf("got %d %q after %d times", status, body, only.asked.Load())
	}
}

func TestTheServerInUseIsKept(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	first, second := c.machine(t, "first", sayName), c.machine(t, "second", sayName)
	first.starting.Store(true)
	servers := newList(first.url, second.url)
	at := c.front(t, servers)
	client := c.caller(t, c.clients[kubelet])
	who := func() string { _, body := get(t, client, at+"/api", ""); return body }
	if by := who(); by != "second" {
		t.Fatalf("answered by %s", by)
	}
	first.starting.Store(false)
	if by := who(); by != "second" {
		t.Errorf("with the first back, answered by %s", by)
	}
	servers.set(first.url)
	for began := time.Now(); who() != "first"; time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > limit {
			t.Fatal("a server that left the list is still asked")
		}
	}
}

func TestAnUpgradeGoesToTheServerThatIsThere(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	upstream := freeAddress(t)
	c.serve(t, upstream, echo)
	at := c.front(t, newList("https://"+freeAddress(t), "https://"+upstream))
	conn, in := upgrade(t, c, strings.TrimPrefix(at, "https://"))
	fmt.Fprintln(conn, "hello")
	if line, err := in.ReadString('\n'); err != nil || line != "hello\n" {
		t.Fatalf("got %q, %v", line, err)
	}
}

func TestARenewedCertificateIsUsedAtOnce(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	var serial atomic.Value
	only := c.machine(t, "only", func(_ string, _ http.ResponseWriter, r *http.Request) {
		serial.Store(r.TLS.PeerCertificates[0].SerialNumber.String())
	})
	at := c.front(t, newList(only.url))
	client := c.caller(t, c.clients[kubelet])
	get(t, client, at+"/api", "")
	before := serial.Load()
	c.renew(t)
	get(t, client, at+"/api", "")
	if after := serial.Load(); after == before {
		t.Error("the server still sees the old certificate")
	}
}

func TestBadCallersDoNoHarm(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	only := c.machine(t, "only", sayName)
	at := c.front(t, newList(only.url))
	address := strings.TrimPrefix(at, "https://")
	for i := range 200 {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprint(conn, []string{"", "\x16\x03\x01", "GET / HTTP/1.1\r\nHost: x\r\n", "\x00\xff garbage"}[i%4])
	}
	client := c.caller(t, c.clients[kubelet])
	if status, body := get(t, client, at+"/api", ""); status != http.StatusOK {
		t.Errorf("got %d %q", status, body)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at+"/api", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Large", strings.Repeat("x", 4*maxHeader))
	if answer, err := client.Do(request); err == nil {
		defer answer.Body.Close()
		if answer.StatusCode < 400 {
			t.Errorf("a header of %d bytes got %s", 4*maxHeader, answer.Status)
		}
	}
	if asked := only.asked.Load(); asked != 1 {
		t.Errorf("the server was asked %d times", asked)
	}
}
