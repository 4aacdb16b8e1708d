package ask

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/skerry-io/skerry/internal/wire"
)

const (
	// maxAnswer bounds what a server may answer, in bytes.
	maxAnswer = 1 << 20
	// handshakePatience and patience bound a call.
	handshakePatience, patience = 10 * time.Second, 20 * time.Second
)

// Request is one call of a server.
type Request struct {
	Server string // URL
	Trust  *tls.Config
	Method string
	Path   string
	Secret string // of a token; none when empty
	Body   []byte
}

// Answer is what came back, whatever it says.
type Answer struct {
	Code   int
	Status string // the code in words
	Header http.Header
	Body   []byte
}

// Server makes a request. The error is one of the way there and back.
func Server(ctx context.Context, q Request) (Answer, error) {
	q.Trust.MinVersion = tls.VersionTLS12
	transport := &http.Transport{TLSClientConfig: q.Trust, TLSHandshakeTimeout: handshakePatience}
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, q.Method, strings.TrimRight(q.Server, "/")+q.Path, bytes.NewReader(q.Body))
	if err != nil {
		return Answer{}, err
	}
	if q.Secret != "" {
		r.SetBasicAuth(wire.JoinUser, q.Secret)
	}
	client := &http.Client{Transport: transport, CheckRedirect: stay}
	answer, err := client.Do(r)
	if err != nil {
		return Answer{}, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	return Answer{Code: answer.StatusCode, Status: answer.Status, Header: answer.Header, Body: text}, err
}

// stay follows no redirect: a token's secret is for the server it was made by.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// Later says that the same request may be answered otherwise in a moment: the server is busy or starting.
func (a Answer) Later() bool {
	return a.Code >= 500 || a.Code == http.StatusTooManyRequests || a.Code == http.StatusRequestTimeout
}
