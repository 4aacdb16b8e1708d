package identity

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/wire"
)

const (
	// maxAnswer bounds what a server may answer, in bytes.
	maxAnswer = 1 << 20
	// handshakePatience and callPatience bound a call.
	handshakePatience, callPatience = 10 * time.Second, 20 * time.Second
)

// request is one call of a server.
type request struct {
	server string // URL
	trust  *tls.Config
	method string
	path   string
	secret string // of a token; none when empty
	body   []byte
}

// call makes one request. The error is a refusal when the server says no, which is a fault; a server that is busy or
// starting does not say no.
func call(ctx context.Context, q request) ([]byte, error) {
	q.trust.MinVersion = tls.VersionTLS12
	transport := &http.Transport{TLSClientConfig: q.trust, TLSHandshakeTimeout: handshakePatience}
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, callPatience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, q.method, strings.TrimRight(q.server, "/")+q.path, bytes.NewReader(q.body))
	if err != nil {
		return nil, err
	}
	if q.secret != "" {
		r.SetBasicAuth(wire.JoinUser, q.secret)
	}
	client := &http.Client{Transport: transport, CheckRedirect: stay}
	answer, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	return text, judge(q.server, answer, text)
}

// stay follows no redirect: a token's secret is for the server it was made by.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// busy is an answer that may be another one in a moment.
type busy struct{ said string }

func (b busy) Error() string { return b.said }

// refusal is an answer that stays the same, however often one asks.
type refusal struct {
	*fault.Fault
	status int
}

// Unwrap gives the fault, with its cure.
func (r refusal) Unwrap() error { return r.Fault }

// unknown says that the server does not know who asks.
func (r refusal) unknown() bool {
	return r.status == http.StatusUnauthorized || r.status == http.StatusForbidden
}

// replaced says that the node's name belongs to another machine.
func (r refusal) replaced() bool { return r.status == http.StatusConflict }

func judge(server string, answer *http.Response, text []byte) error {
	switch {
	case answer.StatusCode == http.StatusOK:
		return nil
	case answer.StatusCode >= 500, answer.StatusCode == http.StatusTooManyRequests, answer.StatusCode == http.StatusRequestTimeout:
		return busy{fmt.Sprintf("%s answers %s", server, reason(answer.Status, text))}
	}
	said, cure, _ := strings.Cut(reason(answer.Status, text), "; to cure: ")
	if cure == "" {
		cure = "check that this is the URL of a Skerry server, and this node's name and addresses"
	}
	return refusal{fault.New("%s refused this node: %s", server, said).Fix("%s", cure), answer.StatusCode}
}

// reason is what an answer says in one line.
func reason(status string, body []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(body)), "\n")
	if line == "" || len(line) > 1000 {
		return status
	}
	return status + ": " + line
}
