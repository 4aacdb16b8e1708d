package traffic_test

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"testing"

	"github.com/skerry-io/skerry/internal/traffic"
)

func TestBothWaysAreCounted(t *testing.T) {
	m := traffic.NewMeter()
	here, there := net.Pipe()
	conn := traffic.Count(here, m.Of("far", traffic.Tunnel))
	go func() {
		_, _ = io.ReadFull(there, make([]byte, 5))
		_, _ = there.Write(make([]byte, 7))
		_ = there.Close()
	}()
	if _, err := conn.Write(make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(conn); err != nil || len(got) != 7 {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	m.Of("near", traffic.API)
	want := []traffic.Link{{"far", traffic.Tunnel, 5, 7}, {"near", traffic.API, 0, 0}}
	if got := m.Links(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
	if m.Of("far", traffic.Tunnel).Sent() != 5 {
		t.Error("a peer has two counters")
	}
}

func TestANilMeterCountsNothing(t *testing.T) {
	var m *traffic.Meter
	if m.Of("far", traffic.API) == nil || m.Links() != nil {
		t.Error("it counts")
	}
}

// TestWhoseBytesTheseAreIsLearnedLater: the handshake counts too, and the encryption.
func TestWhoseBytesTheseAreIsLearnedLater(t *testing.T) {
	var counter traffic.Counter
	web := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		counted := traffic.Find(raw)
		if counted == nil {
			t.Error("there is no counter below the encryption")
			return
		}
		counted.For(&counter)
		counted.For(&traffic.Counter{})
		_, _ = raw.Write(make([]byte, 1000))
		_ = raw.Close()
	}))
	web.Listener = traffic.Listener{Listener: web.Listener}
	web.StartTLS()
	defer web.Close()
	conn, err := tls.Dial("tcp", web.Listener.Addr().String(), web.Client().Transport.(*http.Transport).TLSClientConfig)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(conn); err != nil || len(got) != 1000 {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	if counter.Received() < 200 || counter.Sent() < 1500 {
		t.Errorf("counted are %d sent and %d received", counter.Sent(), counter.Received())
	}
	if traffic.Find(conn) != nil {
		t.Error("a connection without a counter has one")
	}
}
