package supervisor

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/skerry-io/skerry/internal/certs"
	"github.com/skerry-io/skerry/internal/wire"
)

// open runs the site's routes on a real port.
func (s *site) open(t *testing.T) (address string, roots *tls.Config) {
	t.Helper()
	key := newKey(t)
	cert, err := s.PKI.ServerCA.Sign(certs.Subject{Name: "server", IPs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}, Server: true}, key.Public())
	if err != nil {
		t.Fatal(err)
	}
	address = freeAddress(t)
	stop := start(t, NewPort(address, func() *tls.Certificate { return &tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key} }, s, slog.New(slog.DiscardHandler)))
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return address, &tls.Config{InsecureSkipVerify: true}
}

// send opens a connection, writes, and reads what comes until it is closed or time is over.
func send(t *testing.T, address string, secure *tls.Config, text string, within time.Duration) (answer string, closed bool) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if secure != nil {
		conn = tls.Client(conn, secure)
	}
	_ = conn.SetDeadline(time.Now().Add(within))
	if _, err := io.WriteString(conn, text); err != nil {
		return "", true
	}
	read, err := io.ReadAll(conn)
	_, late := err.(net.Error)
	return string(read), !late
}

func TestHarmOverRealConnections(t *testing.T) {
	s := newSite(t)
	address, secure := s.open(t)
	const slack = 5 * time.Second
	for name, c := range map[string]struct {
		secure *tls.Config
		text   string
		within time.Duration
		want   string
	}{
		"garbage":                {nil, "\x00\x01\x02garbage\xff\xff\r\n\r\n", slack, ""},
		"http instead of https":  {nil, "GET /v1-skerry/ping HTTP/1.1\r\nHost: x\r\n\r\n", slack, "400 Bad Request"},
		"garbage inside TLS":     {secure, "\x00\x01\x02\r\n\r\n", slack, "400 Bad Request"},
		"a header without end":   {secure, "GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 2*maxHeader), slack, "431"},
		"a silent connection":    {nil, "", headerPatience + slack, ""},
		"a header that stops":    {secure, "GET /v1-skerry/ping HTTP/1.1\r\nHo", headerPatience + slack, ""},
		"a body that stops":      {secure, joinHead(s.secret(), 1000) + "{", readPatience + slack, "408"},
		"a body nobody wants":    {secure, "GET /v1-skerry/ping HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nx", readPatience + slack, "pong"},
		"a stranger who lasts":   {secure, "POST " + wire.PathSecrets + " HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nx", readPatience + slack, "401"},
		"a body that is too big": {secure, joinHead(s.secret(), maxBody+1) + strings.Repeat(" ", maxBody+1), slack, "413"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answer, closed := send(t, address, c.secure, c.text, c.within)
			if !closed || !strings.Contains(answer, c.want) {
				t.Errorf("closed %t, answered %q", closed, answer)
			}
		})
	}
	t.Run("and a friend is served meanwhile", func(t *testing.T) {
		t.Parallel()
		friend := &http.Client{Transport: &http.Transport{TLSClientConfig: secure}}
		answer, err := friend.Get("https://" + address + wire.PathPing)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
	})
}

func joinHead(secret string, length int) string {
	r, _ := http.NewRequest(http.MethodPost, "https://x"+wire.PathJoin, nil)
	r.SetBasicAuth(wire.JoinUser, secret)
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\nContent-Length: %d\r\n\r\n", wire.PathJoin, r.Header.Get("Authorization"), length)
}

// TestARequestThatLastsIsNotEnded: the time that a stranger has is not that of a node.
func TestARequestThatLastsIsNotEnded(t *testing.T) {
	t.Parallel()
	s, key := newSite(t), newKey(t)
	s.Connect = func(string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-time.After(readPatience + time.Second):
				_, _ = io.WriteString(w, "still here")
			case <-r.Context().Done():
			}
		})
	}
	address, _ := s.open(t)
	client := tls.Certificate{Certificate: [][]byte{certOf(t, s.PKI.ClientCA, key, "system:node:server", "system:nodes").Raw}, PrivateKey: key}
	for _, two := range []bool{false, true} {
		t.Run(fmt.Sprintf("HTTP/2 %t", two), func(t *testing.T) {
			t.Parallel()
			transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{client}}, ForceAttemptHTTP2: two}
			defer transport.CloseIdleConnections()
			answer, err := (&http.Client{Transport: transport}).Get("https://" + address + wire.PathConnect)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			if text, err := io.ReadAll(answer.Body); err != nil || string(text) != "still here" || (answer.ProtoMajor == 2) != two {
				t.Errorf("%s: %q, %v", answer.Proto, text, err)
			}
		})
	}
}

// TestAConnectionIsReusedAfterALimitedRequest: the time a request may take must not end the next one.
func TestAConnectionIsReusedAfterALimitedRequest(t *testing.T) {
	s := newSite(t)
	address, secure := s.open(t)
	conn, err := tls.Dial("tcp", address, secure)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	read := bufio.NewReader(conn)
	for range 2 {
		if _, err := io.WriteString(conn, "GET /v1-skerry/ping HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		answer, err := http.ReadResponse(read, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(answer.Body); err != nil {
			t.Fatal(err)
		}
	}
}

// named connections: only their address counts here.
type fromAddress struct {
	net.Conn
	address net.Addr
	closed  bool
}

func (c *fromAddress) RemoteAddr() net.Addr { return c.address }

func (c *fromAddress) Close() error {
	c.closed = true
	return nil
}

func TestACrowdOfSilentConnectionsIsBounded(t *testing.T) {
	c := newCrowd()
	connect := func(ip string) *fromAddress {
		conn := &fromAddress{address: &net.TCPAddr{IP: net.ParseIP(ip), Port: 1}}
		c.state(conn, http.StateNew)
		return conn
	}
	var open []*fromAddress
	for range silentOfOne {
		open = append(open, connect("192.0.2.7"))
	}
	if open[silentOfOne-1].closed || !connect("192.0.2.7").closed {
		t.Error("one address has another limit")
	}
	if connect("192.0.2.8").closed || connect("127.0.0.1").closed {
		t.Error("others are shut out")
	}
	c.state(open[0], http.StateActive)
	if connect("192.0.2.7").closed {
		t.Error("a connection that has spoken still counts")
	}
	for i := 0; len(c.silent) < silentOfAll; i++ {
		connect(fmt.Sprintf("10.0.%d.%d", i>>8, i&255))
	}
	if !connect("192.0.2.9").closed {
		t.Error("all together have no limit")
	}
	for conn := range c.silent {
		c.state(conn, http.StateClosed)
	}
	if len(c.by) > 0 {
		t.Errorf("%d addresses are kept", len(c.by))
	}
}
