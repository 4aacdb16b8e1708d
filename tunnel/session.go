package tunnel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/http2"
)

// maxReason bounds what a node may say about a connection that it could not make, in bytes.
const maxReason = 1 << 10

// session is one node's tunnel, as its server holds it.
type session struct {
	node  string
	from  string // address it came from
	since time.Time
	conn  *conn
	http  *http2.ClientConn
}

// Refused is what a node says when it does not make a connection.
type Refused struct {
	Node   string
	To     string
	Reason string
}

// Error names the node and its reason.
func (r *Refused) Error() string {
	return fmt.Sprintf("node %s did not connect to %s: %s", r.Node, r.To, r.Reason)
}

// newTransport is how servers speak in all of their tunnels.
func newTransport() (*http2.Transport, error) {
	// What of the settings http2.Transport lacks, it takes from the other one.
	base := &http.Transport{
		DisableCompression:     true,
		MaxResponseHeaderBytes: 16 << 10,
		HTTP2:                  &http.HTTP2Config{MaxReadFrameSize: maxFrame, MaxReceiveBufferPerStream: window, MaxReceiveBufferPerConnection: allWindows},
	}
	transport, err := http2.ConfigureTransports(base)
	if err != nil {
		return nil, fmt.Errorf("prepare the tunnels: %w", err)
	}
	transport.StrictMaxConcurrentStreams = true // one more than allowed waits, as there is no other connection to go to
	return transport, nil
}

// dial asks the node for a connection. ctx bounds the asking, not the connection.
func (s *session) dial(ctx context.Context, to string) (net.Conn, error) {
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, end)
	made, body := newStream(s.node, to, end)
	request := (&http.Request{Method: http.MethodConnect, URL: &url.URL{Scheme: "https", Host: to}, Host: to, Header: http.Header{},
		Body: body, ContentLength: -1}).WithContext(life)
	answer, err := s.http.RoundTrip(request)
	if !stop() && err == nil {
		err = errors.Join(ctx.Err(), answer.Body.Close())
	}
	if err != nil {
		made.end()
		return nil, s.explain(ctx, err)
	}
	if answer.StatusCode != http.StatusOK {
		defer made.end()
		reason, _ := io.ReadAll(io.LimitReader(answer.Body, maxReason))
		_ = answer.Body.Close()
		return nil, &Refused{Node: s.node, To: to, Reason: strings.TrimSpace(string(reason))}
	}
	made.out = answer.Body
	return made, nil
}

func (s *session) explain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("node %s does not answer through its tunnel: %w", s.node, ctx.Err())
	}
	return fmt.Errorf("the tunnel to node %s broke: %w", s.node, err)
}

// over says that the tunnel cannot be used any more.
func (s *session) over() bool {
	select {
	case <-s.conn.done:
		return true
	default:
		state := s.http.State()
		return state.Closed || state.Closing
	}
}
