package endpoint

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skerry-io/skerry/internal/certs"
	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/tests/certtest"
)

const patient = 10 * time.Second

// whoAsks answers what the API server would know of the caller.
func whoAsks(w http.ResponseWriter, r *http.Request) {
	user := "nobody"
	if len(r.TLS.PeerCertificates) > 0 {
		user = r.TLS.PeerCertificates[0].Subject.CommonName
	}
	fmt.Fprintf(w, "%s %s host=%s user=%s bearer=%s", r.Proto, r.URL, r.Host, user, r.Header.Get("Authorization"))
}

func get(t *testing.T, c *http.Client, url, bearer string) (status int, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if bearer != "" {
		request.Header.Set("Authorization", "Bearer "+bearer)
	}
	answer, err := c.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

func TestCallersReachTheServerAsWhoTheyAre(t *testing.T) {
	c, upstream := newCluster(t), freeAddress(t)
	c.serve(t, upstream, whoAsks)
	at, _ := c.endpoint(t, upstream, patient)
	for name, caller := range map[string]struct {
		certs  []tls.Certificate
		bearer string
		want   string
	}{
		"the kubelet":            {[]tls.Certificate{c.clients[kubelet]}, "", "user=" + kubelet + " bearer="},
		"kube-proxy":             {[]tls.Certificate{c.clients[proxy]}, "", "user=" + proxy + " bearer="},
		"a bearer token":         {nil, "abc", "user=nobody bearer=Bearer abc"},
		"nobody":                 {nil, "", "user=nobody bearer="},
		"an older key of a user": {[]tls.Certificate{issue(t, c.clientCA, client(kubelet))}, "", "user=" + kubelet + " bearer="},
	} {
		status, body := get(t, c.caller(t, caller.certs...), "https://"+at+"/api/v1/pods?watch=0&limit=5", caller.bearer)
		if want := "HTTP/2.0 /api/v1/pods?watch=0&limit=5 host=" + upstream + " " + caller.want; status != http.StatusOK || body != want {
			t.Errorf("%s: got %d %q, want %q", name, status, body, want)
		}
	}
}

func TestOtherCertificatesAreRefused(t *testing.T) {
	c, upstream := newCluster(t), freeAddress(t)
	var asked atomic.Int32
	c.serve(t, upstream, func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	at, _ := c.endpoint(t, upstream, patient)
	status, body := get(t, c.caller(t, issue(t, c.clientCA, client("system:admin"))), "https://"+at+"/api", "abc")
	if status != http.StatusForbidden || !strings.Contains(body, "not for system:admin") {
		t.Errorf("another user of the cluster: got %d %q", status, body)
	}
	for name, cert := range map[string]tls.Certificate{
		"a stranger's":  issue(t, certtest.CA(t, "strange-ca"), client(kubelet)),
		"a serving one": issue(t, c.clientCA, certs.Subject{Name: kubelet, Server: true}),
	} {
		if answer, err := c.caller(t, cert).Get("https://" + at + "/api"); err == nil {
			t.Errorf("%s certificate: got %s", name, answer.Status)
			answer.Body.Close()
		}
	}
	if asked.Load() > 0 {
		t.Error("the server was asked all the same")
	}
}

func TestAWatchArrivesAsItHappensAndEndsWithItsCaller(t *testing.T) {
	c, upstream := newCluster(t), freeAddress(t)
	gone := make(chan struct{})
	next := make(chan string)
	c.serve(t, upstream, func(w http.ResponseWriter, r *http.Request) {
		defer close(gone)
		for {
			_ = http.NewResponseController(w).Flush()
			select {
			case event := <-next:
				_, _ = io.WriteString(w, event+"\n")
			case <-r.Context().Done():
				return
			}
		}
	})
	at, _ := c.endpoint(t, upstream, patient)
	answer, err := c.caller(t, c.clients[kubelet]).Get("https://" + at + "/watch")
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(answer.Body)
	for _, event := range []string{"ADDED", "MODIFIED"} {
		next <- event
		if line, err := lines.ReadString('\n'); err != nil || line != event+"\n" {
			t.Fatalf("got %q, %v", line, err)
		}
	}
	answer.Body.Close()
	select {
	case <-gone:
	case <-time.After(patient):
		t.Error("the server still serves a watch whose caller went away")
	}
}

// upgrade speaks HTTP/1.1 by hand and gives a connection that has changed its protocol.
func upgrade(t *testing.T, c *cluster, at string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := tls.Dial("tcp", at, &tls.Config{RootCAs: c.ServerCA(), Certificates: []tls.Certificate{c.clients[kubelet]}, NextProtos: []string{"http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patient)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "POST /exec HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n")
	in := bufio.NewReader(conn)
	answer, err := http.ReadResponse(in, nil)
	if err != nil || answer.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("got %v, %v", answer, err)
	}
	return conn, in
}

// echo answers an upgraded connection with what it says.
func echo(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") != "SPDY/3.1" || r.TLS.PeerCertificates[0].Subject.CommonName != kubelet {
		http.Error(w, "not upgraded as the kubelet", http.StatusBadRequest)
		return
	}
	w.Header().Set("Connection", "Upgrade")
	w.Header().Set("Upgrade", "SPDY/3.1")
	w.WriteHeader(http.StatusSwitchingProtocols)
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = io.Copy(conn, rw)
}

func TestAnUpgradePassesAndEndsWithTheEndpoint(t *testing.T) {
	c, upstream := newCluster(t), freeAddress(t)
	c.serve(t, upstream, echo)
	at, stop := c.endpoint(t, upstream, patient)
	conn, in := upgrade(t, c, at)
	for _, word := range []string{"hello", "again"} {
		fmt.Fprintln(conn, word)
		if line, err := in.ReadString('\n'); err != nil || line != word+"\n" {
			t.Fatalf("got %q, %v", line, err)
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if _, err := in.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("the session outlives the endpoint: %v", err)
	}
}

func TestARequestWaitsForAServerThatIsStarting(t *testing.T) {
	c, upstream := newCluster(t), freeAddress(t)
	at, _ := c.endpoint(t, upstream, patient)
	const late = 300 * time.Millisecond
	began := time.Now()
	timer := time.AfterFunc(late, func() { c.serve(t, upstream, whoAsks) })
	defer timer.Stop()
	status, body := get(t, c.caller(t, c.clients[kubelet]), "https://"+at+"/api", "")
	if status != http.StatusOK || !strings.Contains(body, "user="+kubelet) || time.Since(began) < late {
		t.Errorf("got %d %q after %s", status, body, time.Since(began))
	}
}

func TestNoServer(t *testing.T) {
	c := newCluster(t)
	strange := newCluster(t)
	stranger := freeAddress(t)
	strange.serve(t, stranger, whoAsks)
	for name, test := range map[string]struct {
		upstream string
		patience time.Duration
		atLeast  time.Duration
		want     string
	}{
		"nobody listens for longer than the patience": {freeAddress(t), 200 * time.Millisecond, 200 * time.Millisecond, "connection refused"},
		"another's server listens":                    {stranger, patient, 0, "certificate"},
	} {
		at, _ := c.endpoint(t, test.upstream, test.patience)
		began := time.Now()
		answer, err := c.caller(t, c.clients[kubelet]).Get("https://" + at + "/api")
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(answer.Body)
		answer.Body.Close()
		if answer.StatusCode != http.StatusServiceUnavailable || answer.Header.Get("Retry-After") == "" || !strings.Contains(string(text), test.want) {
			t.Errorf("%s: got %s %s", name, answer.Status, text)
		}
		if took := time.Since(began); took < test.atLeast || took > patient/2 {
			t.Errorf("%s: answered after %s", name, took)
		}
	}
}

func TestAWatchDoesNotDelayTheEnd(t *testing.T) {
	c, upstream := newCluster(t), freeAddress(t)
	c.serve(t, upstream, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	at, stop := c.endpoint(t, upstream, patient)
	answer, err := c.caller(t, c.clients[kubelet]).Get("https://" + at + "/watch")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	began := time.Now()
	if err := stop(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > stopPatience+3*time.Second {
		t.Errorf("the end took %s", took)
	}
}

func TestAPortInUseHasACure(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	e := New(Config{Address: taken.Addr().String(), Servers: newList("https://127.0.0.1:1")}, newCluster(t), slog.New(slog.DiscardHandler))
	err = e.Run(t.Context(), func() { t.Error("called ready") })
	var told *fault.Fault
	if !errors.As(err, &told) || !strings.Contains(err.Error(), taken.Addr().String()) || !strings.Contains(told.Cure(), "lb-server-port") {
		t.Errorf("got %v", err)
	}
}
