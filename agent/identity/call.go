package identity

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/skerry-io/skerry/internal/ask"
	"github.com/skerry-io/skerry/internal/fault"
)

// request is one call of a server.
type request struct {
	server string // URL
	trust  *tls.Config
	method string
	path   string
	secret string // of a token; none when empty
	body   []byte
	heard  func(time.Time) // is told what time the server says it is, where trust is such that it counts; nil for nobody
}

// call makes one request. The error is a refusal when the server says no, which is a fault; a server that is busy or
// starting does not say no.
func call(ctx context.Context, q request) ([]byte, error) {
	answer, err := ask.Server(ctx, ask.Request{Server: q.server, Trust: q.trust, Method: q.method, Path: q.path, Secret: q.secret, Body: q.body})
	if err != nil {
		return nil, err
	}
	// Only a server answers so. Other answers may be those of the node's own endpoint, which has the node's own time.
	if at, err := http.ParseTime(answer.Header.Get("Date")); err == nil && q.heard != nil && answer.Code == http.StatusOK {
		q.heard(at)
	}
	return answer.Body, judge(q.server, answer)
}

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

func judge(server string, answer ask.Answer) error {
	switch {
	case answer.Code == http.StatusOK:
		return nil
	case answer.Later():
		return busy{fmt.Sprintf("%s answers %s", server, reason(answer.Status, answer.Body))}
	}
	said, cure, _ := strings.Cut(reason(answer.Status, answer.Body), "; to cure: ")
	if cure == "" {
		cure = "check that this is the URL of a Skerry server, and this node's name and addresses"
	}
	return refusal{fault.New("%s refused this node: %s", server, said).Fix("%s", cure), answer.Code}
}

// reason is what an answer says in one line.
func reason(status string, body []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(body)), "\n")
	if line == "" || len(line) > 1000 {
		return status
	}
	return status + ": " + line
}
